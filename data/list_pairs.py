"""Listing a data set: which image belongs to which mask and to which split, and what is missing."""

from __future__ import annotations

import posixpath
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace

from data.assign_splits import SPLIT_NAMES, split_of
from data.config import DataConfig, LayoutName
from data.errors import Problem
from data.layouts.camvid import find_camvid_pairs
from data.layouts.cityscapes import find_cityscapes_pairs
from data.layouts.folder import find_folder_pairs
from data.layouts.voc import find_voc_pairs
from data.open_files import FileTree, list_files
from data.pairs import IMAGE_ENDINGS, Found, FoundPair, Listing, Pair
from data.wording import count

__all__ = ["Listing", "Pair", "list_pairs"]

LAYOUTS: dict[LayoutName, Callable[[DataConfig, FileTree], Found]] = {
    "folder": find_folder_pairs,
    "camvid": find_camvid_pairs,
    "voc": find_voc_pairs,
    "cityscapes": find_cityscapes_pairs,
}


def list_pairs(config: DataConfig) -> Listing:
    """Lists a data set by its layout, without opening any image.

    Raises:
        RefusedError: if the root is no folder. Everything else that is wrong is in ``problems``.
    """
    tree = list_files(config.root)
    found = LAYOUTS[config.layout](config, tree)
    own_splits = bool(found.declared_splits)
    problems = [*tree.problems, *found.problems]
    unique = _refuse_repeated_ids(_qualify_ids(found.pairs), problems)
    pairs = tuple(
        Pair(
            pair.image_id,
            pair.split or split_of(pair.image_id, config.splits),
            pair.image_path,
            pair.mask_path,
            pair.attributes,
        )
        for pair in unique
    )
    problems.extend(_find_empty_splits(config, pairs, found))
    notes = (*found.notes, *_count_hidden(tree))
    return Listing(pairs, tuple(sorted(set(problems))), own_splits, notes)


def _count_hidden(tree: FileTree) -> list[str]:
    images = [path for path in tree.hidden if posixpath.splitext(path)[1].lower() in IMAGE_ENDINGS]
    if not images:
        return []
    return [f"{count(len(images), 'hidden file')} with an image's ending left out, e.g. {images[0]}"]


def _qualify_ids(pairs: list[FoundPair]) -> list[FoundPair]:
    """Puts the split before an id that stands in several: many data sets count from 0 in each.

    Whether those are the same image is for the content to say (``find_leaks``), not for the name.
    """
    splits: dict[str, set[str | None]] = defaultdict(set)
    for pair in pairs:
        splits[pair.image_id].add(pair.split)
    return [
        replace(pair, image_id=f"{pair.split}/{pair.image_id}") if len(splits[pair.image_id]) > 1 else pair
        for pair in pairs
    ]


def _refuse_repeated_ids(pairs: list[FoundPair], problems: list[Problem]) -> list[FoundPair]:
    """Keeps the first pair of each id."""
    first: dict[str, FoundPair] = {}
    for pair in sorted(pairs, key=lambda pair: (pair.image_id, pair.image_path)):
        other = first.setdefault(pair.image_id, pair)
        if other is not pair:
            what = f"has the same id {pair.image_id!r} as {other.image_path}"
            remedy = "Rename one of the two, with its mask, or delete it"
            problems.append(Problem(pair.image_path, what, remedy, "duplicate_id"))
    return list(first.values())


def _find_empty_splits(config: DataConfig, pairs: tuple[Pair, ...], found: Found) -> list[Problem]:
    if not pairs:
        if found.problems:
            return []
        what = "there is no image with a mask"
        return [Problem(config.root, what, "Put PNG or JPEG images and their masks there", "no_images")]
    counts = Counter(pair.split for pair in pairs)
    problems = []
    for split in SPLIT_NAMES:
        if counts[split]:
            continue
        if split in found.declared_splits:
            what = f"the split {split} is empty: no image there has a mask"
            remedy = "Put images and masks there, or take the folder or list away"
            problems.append(Problem(found.declared_splits[split], what, remedy, "empty_split"))
        elif found.declared_splits and split == "train":
            what = "the data set has splits of its own, but none of the name train"
            problems.append(Problem(config.root, what, "Add the training images", "empty_split"))
        elif not found.declared_splits and getattr(config.splits, split) > 0:
            what = f"the split {split} gets none of the {len(pairs)} images"
            remedy = "Add images, raise its share, or set it to 0"
            problems.append(Problem(f"data.splits.{split}", what, remedy, "empty_split"))
    return problems
