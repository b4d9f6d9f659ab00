"""Seeing how the files of an unknown data set lie."""

from __future__ import annotations

import itertools
import posixpath
from collections import defaultdict
from dataclasses import dataclass

from data.assign_splits import SPLIT_NAMES
from data.config import LayoutName
from data.errors import Problem, RefusedError
from data.layouts import camvid, cityscapes, voc
from data.layouts.folder import LIST_FOLDERS
from data.layouts.match_files import split_ending, split_from_name
from data.layouts.read_split_lists import find_split_lists
from data.open_files import FileTree
from data.pairs import IMAGE_ENDINGS, MASK_ENDINGS
from data.survey_masks import survey_masks

MASK_SUFFIXES = (
    "",
    "_mask",
    "-mask",
    ".mask",
    "_masks",
    "_label",
    "_labels",
    "_seg",
    "_segmentation",
    "_gt",
    "_groundtruth",
    "_annotation",
    "_lab",
    "_L",
)
_MASK_WORDS = ("mask", "label", "annot", "segm", "truth", "gt", "target", "trimap", "class")
_MOST_FOLDERS = 40
_DEEPEST = 3
_PICTURES_LOOKED_AT = 3
_MANY = 1_000_000

_Key = tuple[str, str]
"""A picture's split (empty where no folder tells it) and its path below some folder, without ending."""


@dataclass(frozen=True)
class RecognisedLayout:
    """How the files lie.

    Attributes:
        layout: the layout's name.
        below: the folder below the root that the layout starts at; empty for the root itself.
        images: layout ``folder``: the images' folder, below that.
        masks: layout ``folder``: the masks' folder.
        mask_suffix: layout ``folder``: what masks' names have behind the images'.
    """

    layout: LayoutName
    below: str = ""
    images: str = "images"
    masks: str = "masks"
    mask_suffix: str = ""


def recognise_layout(tree: FileTree) -> RecognisedLayout:
    """Returns the layout of a data set, by its folders' names, else by files of equal names.

    Raises:
        RefusedError: if no two folders hold images and masks of the same names.
    """
    known: tuple[tuple[LayoutName, tuple[str, ...]], ...] = (
        ("cityscapes", (cityscapes.IMAGES, cityscapes.MASKS)),
        ("voc", (voc.IMAGES, voc.MASKS)),
        ("camvid", ("train", "train" + camvid.MASKS_ENDING)),
    )
    folders = sorted(tree.folders | {""}, key=lambda folder: (folder.count("/") + bool(folder), folder))
    for layout, needed in known:
        for below in folders:
            if all(posixpath.join(below, name) in tree.folders for name in needed):
                return RecognisedLayout(layout, below)
    return _recognise_folders(tree)


def _recognise_folders(tree: FileTree) -> RecognisedLayout:
    ids_of = _ids_by_folder(tree)
    fullest = sorted(ids_of, key=lambda folder: (-len(ids_of[folder]), folder))[:_MOST_FOLDERS]
    candidates: list[tuple[tuple[int, int, bool, int], str, str, str]] = []
    pairs = [
        pair for pair in itertools.product(fullest, fullest) if pair[0] == pair[1] or not _is_inside(*pair)
    ]
    suffixes_of = {folder: _suffixes_of(ids_of[folder]) for folder in fullest}
    most = 0
    for images, masks in sorted(pairs, key=lambda pair: -min(len(ids_of[pair[0]]), len(ids_of[pair[1]]))):
        if min(len(ids_of[images]), len(ids_of[masks])) < most:
            break
        for suffix in suffixes_of[masks]:
            if images == masks and not suffix:
                continue
            if common := _count_common(ids_of[images], ids_of[masks], suffix):
                # Of nested folders with the same files: the outer two of two, the inner one of one.
                depth = len(images) if images == masks else -len(images) - len(masks)
                rank = (common, _likelihood(images, masks), bool(suffix), depth)
                candidates.append((rank, images, masks, suffix))
                most = max(most, common)
    if candidates:
        rank, images, masks, suffix = max(candidates)
        if not suffix and rank[1] <= 0 and _count_values(tree, images) < _count_values(tree, masks):
            images, masks = masks, images
        return _start_below(tree, images, masks, suffix)
    if "images" in tree.folders and "masks" in tree.folders:
        return RecognisedLayout("folder")
    raise RefusedError([_unrecognised(tree)])


def _count_values(tree: FileTree, folder: str) -> int:
    """Returns how many values or colours the first pictures of a folder hold: masks hold few."""
    names = [path for path in tree.files if _without_splits(path).startswith(folder + "/")]
    pictures = [path for path in names if split_ending(path)[1] in MASK_ENDINGS]
    survey = survey_masks([tree.path(path) for path in pictures[:_PICTURES_LOOKED_AT]], workers=1)
    return len(survey.values) + len(survey.colours) + _MANY * survey.kinds.get("unreadable", 0)


def _without_splits(path: str) -> str:
    *folders, name = path.split("/")
    return "/".join([*(folder for folder in folders if not split_from_name(folder)), name])


def _start_below(tree: FileTree, images: str, masks: str, suffix: str) -> RecognisedLayout:
    """Starts at the folder that both folders share, unless split lists lie above it."""
    shared = posixpath.commonpath([posixpath.dirname(images), posixpath.dirname(masks)]) if images else ""
    if shared and not find_split_lists(tree, LIST_FOLDERS):
        start = shared + "/"
        return RecognisedLayout(
            "folder", shared, images.removeprefix(start), masks.removeprefix(start), suffix
        )
    return RecognisedLayout("folder", "", images or ".", masks or ".", suffix)


def _suffixes_of(names: set[_Key]) -> list[str]:
    """Returns the suffixes that any of the names has; the empty one always."""
    suffixed = [name for _, name in names if name.endswith(MASK_SUFFIXES[1:])]
    return [
        suffix for suffix in MASK_SUFFIXES if not suffix or any(name.endswith(suffix) for name in suffixed)
    ]


def _ids_by_folder(tree: FileTree) -> dict[str, set[_Key]]:
    """Returns for every folder the (split, id) of the pictures below it; split folders count as neither."""
    ids_of: dict[str, set[_Key]] = defaultdict(set)
    for path in tree.files:
        stem, ending = split_ending(path)
        if ending not in IMAGE_ENDINGS | MASK_ENDINGS:
            continue
        parts = stem.split("/")
        splits = [part for part in parts[:-1] if split_from_name(part)]
        kept = list(parts)
        if splits:
            kept.remove(splits[0])
        for depth in range(min(len(kept), _DEEPEST + 1)):
            split = splits[0] if splits else ""
            ids_of["/".join(kept[:depth])].add((split, "/".join(kept[depth:])))
    return ids_of


def _is_inside(one: str, other: str) -> bool:
    """Says whether one of two folders holds the other."""
    return not one or not other or (one + "/").startswith(other + "/") or (other + "/").startswith(one + "/")


def _count_common(images: set[_Key], masks: set[_Key], suffix: str) -> int:
    """Counts the pictures of the smaller folder that have a partner in the other."""
    if len(masks) < len(images):
        few = [(split, name.removesuffix(suffix)) for split, name in masks if name.endswith(suffix)]
        many, splits = images, ("", *SPLIT_NAMES)
    else:
        few = [(split, name + suffix) for split, name in images]
        many, splits = masks, ("",)
    # A mask that lies in no split folder serves an image of any.
    return sum(
        (split, name) in many or any((other, name) in many for other in splits if "" in (split, other))
        for split, name in few
    )


def _likelihood(images: str, masks: str) -> int:
    """Says how well the names fit the roles: 3 is perfect, negative speaks against them."""
    score = 1 if (images, masks) == ("images", "masks") else 0
    score += any(word in masks.lower() for word in _MASK_WORDS)
    return score - any(word in images.lower() for word in _MASK_WORDS)


def _unrecognised(tree: FileTree) -> Problem:
    seen = sorted(folder for folder in tree.folders if folder.count("/") < 2)
    shown = ", ".join(seen[:10]) + (", ..." if len(seen) > 10 else "") if seen else "no folders"
    what = f"no images with masks of the same names were found; there are {len(tree.files)} files and {shown}"
    remedy = (
        "Put images into images/ and masks of the same names into masks/, or arrange them as camvid "
        "(train, trainannot), voc (JPEGImages, SegmentationClass) or cityscapes (leftImg8bit, gtFine)"
    )
    return Problem(tree.root, what, remedy, "unknown_layout")
