"""What layouts share: names of split folders, and matching masks to images by id."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from data.assign_splits import SplitName
from data.errors import Problem
from data.open_files import FileTree
from data.pairs import IMAGE_ENDINGS, MASK_ENDINGS, OTHER_IMAGE_ENDINGS, Found, FoundPair

SPLIT_ALIASES: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "eval": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class NamedFile:
    """An image or mask file: the id that its name gives, its split (None: open) and its whole path."""

    image_id: str
    split: SplitName | None
    path: str


def split_from_name(name: str) -> SplitName | None:
    """Returns the split that a folder's or list's name means, or None."""
    return SPLIT_ALIASES.get(name.lower())


def split_ending(path: str) -> tuple[str, str]:
    """Returns a path without its ending, and the ending in lower case (``.png``)."""
    stem, ending = posixpath.splitext(path)
    return stem, ending.lower()


def take_images(files: Iterable[NamedFile], found: Found) -> list[NamedFile]:
    """Returns the files with an image's ending; other picture formats become problems, the rest is left."""
    images = []
    for file in files:
        ending = split_ending(file.path)[1]
        if ending in IMAGE_ENDINGS:
            images.append(file)
        elif ending in OTHER_IMAGE_ENDINGS:
            what = f"is a {ending[1:].upper()} file, and images must be PNG or JPEG"
            found.problems.append(Problem(file.path, what, "Convert it to PNG", "unsupported_format"))
    return images


def take_masks(files: Iterable[NamedFile]) -> list[NamedFile]:
    """Returns the files with an ending that masks can have."""
    return [file for file in files if split_ending(file.path)[1] in MASK_ENDINGS]


def pair_by_id(images: list[NamedFile], masks: list[NamedFile], found: Found, masks_folder: str) -> None:
    """Adds to ``found`` every image with its mask, and a problem for each that is alone or doubled.

    A mask belongs to the image of the same id and split; masks that lie in no split folder serve all.
    """
    masks_of = _only_one_each(masks, found, "mask")
    used = set()
    for (image_id, split), image in _only_one_each(images, found, "image").items():
        key = next((key for key in ((image_id, split), (image_id, None)) if key in masks_of), None)
        if key is None:
            what = f"has no mask: {masks_folder} holds none of the name {posixpath.basename(image_id)}"
            remedy = "Add the mask or take the image away"
            found.problems.append(Problem(image.path, what, remedy, "missing_mask"))
            continue
        used.add(key)
        found.pairs.append(FoundPair(image_id, split, image.path, masks_of[key].path))
    for key, mask in masks_of.items():
        if key not in used:
            what = f"is a mask without an image of the id {key[0]!r}"
            remedy = "Add the image or take the mask away"
            found.problems.append(Problem(mask.path, what, remedy, "missing_image"))


def _only_one_each(
    files: list[NamedFile], found: Found, kind: str
) -> dict[tuple[str, SplitName | None], NamedFile]:
    grouped: dict[tuple[str, SplitName | None], list[NamedFile]] = defaultdict(list)
    for file in sorted(files, key=lambda file: file.path):
        grouped[file.image_id, file.split].append(file)
    for (image_id, _), same in grouped.items():
        for other in same[1:]:
            what = f"has the same id {image_id!r} as {same[0].path}"
            remedy = f"Rename or delete one of the two: an id stands for one {kind}"
            found.problems.append(Problem(other.path, what, remedy, "duplicate_id"))
    return {key: same[0] for key, same in grouped.items()}


def missing_folder(tree: FileTree, below: str, key: str = "") -> Problem:
    """Returns the problem of a folder that the layout needs and that is not there."""
    seen = sorted(folder for folder in tree.folders if "/" not in folder)
    here = ", ".join(seen[:8]) + (", ..." if len(seen) > 8 else "") if seen else "no folders"
    remedy = f"Create it, or set {key or 'data.layout'} to what is there"
    what = f"there is no such folder; {tree.root} holds {here}"
    return Problem(tree.path(below), what, remedy, "missing_folder")
