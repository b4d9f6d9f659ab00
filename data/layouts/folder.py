"""Layout ``folder``: images and masks in two folders, with split folders, split lists or neither.

Both ``images/train/a.png`` with ``masks/train/a.png`` and ``train/images/a.png`` with
``train/masks/a.png`` are understood; subfolders are part of the id. Where the two folders are one,
``mask_suffix`` tells masks from images.
"""

from __future__ import annotations

import posixpath
from dataclasses import replace

from data.config import DataConfig
from data.errors import Problem
from data.layouts.match_files import (
    NamedFile,
    missing_folder,
    pair_by_id,
    split_ending,
    split_from_name,
    take_images,
    take_masks,
)
from data.layouts.read_split_lists import find_split_lists, read_split_lists
from data.open_files import FileTree, is_safe_below
from data.pairs import Found
from data.wording import count

LIST_FOLDERS = ("", "splits", "ImageSets", "ImageSets/Segmentation", "ImageSets/Main")


def find_folder_pairs(config: DataConfig, tree: FileTree) -> Found:
    """Finds the pairs of a data set in two folders."""
    found = Found()
    images_folder, masks_folder = _clean(config.images), _clean(config.masks)
    if problems := _check_keys(config, images_folder, masks_folder):
        return Found(problems=problems)
    image_files = _files_of(tree, images_folder, found)
    mask_files = _files_of(tree, masks_folder, found)
    for folder, key in ((images_folder, "data.images"), (masks_folder, "data.masks")):
        if not _folder_exists(tree, folder):
            found.problems.append(missing_folder(tree, folder, key))
    if found.problems:
        return found
    if config.mask_suffix:
        image_files, mask_files = _by_suffix(image_files, mask_files, config, images_folder == masks_folder)
    images, masks = take_images(image_files, found), take_masks(mask_files)
    pair_by_id(images, masks, found, tree.path(masks_folder))
    if found.declared_splits:
        _refuse_unsplit(found)
    else:
        _split_by_lists(tree, images_folder, found)
    return found


def _clean(folder: str) -> str:
    cleaned = posixpath.normpath(folder) if folder else "."
    return "" if cleaned == "." else cleaned


def _check_keys(config: DataConfig, images_folder: str, masks_folder: str) -> list[Problem]:
    problems = []
    for key, folder in (("data.images", images_folder), ("data.masks", masks_folder)):
        if folder and not is_safe_below(folder):
            what = f"{folder!r} leads out of data.root"
            problems.append(Problem(key, what, "Name a folder below data.root", "escaping_path"))
    if images_folder == masks_folder and not config.mask_suffix:
        what = "images and masks are in the same folder, and nothing tells them apart"
        remedy = "Set it to the end of the masks' names"
        problems.append(Problem("data.mask_suffix", what, remedy, "same_folder"))
    return problems


def _folder_exists(tree: FileTree, folder: str) -> bool:
    if not folder or folder in tree.folders:
        return True
    return any(f"{top}/{folder}" in tree.folders for top in _split_tops(tree))


def _split_tops(tree: FileTree) -> list[str]:
    return sorted(top for top in tree.folders if "/" not in top and split_from_name(top))


def _files_of(tree: FileTree, folder: str, found: Found) -> list[NamedFile]:
    """Returns the files below one of the two folders, and notes the splits that their folders declare."""
    start = folder + "/" if folder else ""
    tops = [top for top in _split_tops(tree) if start and f"{top}/{folder}" in tree.folders]
    files = []
    for top in tops:
        split = split_from_name(top)
        assert split is not None
        found.declared_splits.setdefault(split, tree.path(f"{top}/{folder}"))
    for below in tree.folders:
        split = split_from_name(posixpath.basename(below)) if below.startswith(start) else None
        if split is not None:
            found.declared_splits.setdefault(split, tree.path(below))
    for below in tree.files:
        if below.startswith(start):
            files.append(_named(below.removeprefix(start), tree.path(below)))
            continue
        top, _, rest = below.partition("/")
        if top in tops and rest.startswith(start):
            image_id = split_ending(rest.removeprefix(start))[0]
            files.append(NamedFile(image_id, split_from_name(top), tree.path(below)))
    return files


def _named(name: str, path: str) -> NamedFile:
    """Takes the first split folder out of a file's name; the rest is its id."""
    parts = split_ending(name)[0].split("/")
    for position, part in enumerate(parts[:-1]):
        if (split := split_from_name(part)) is not None:
            return NamedFile("/".join(parts[:position] + parts[position + 1 :]), split, path)
    return NamedFile("/".join(parts), None, path)


def _by_suffix(
    image_files: list[NamedFile], mask_files: list[NamedFile], config: DataConfig, same_folder: bool
) -> tuple[list[NamedFile], list[NamedFile]]:
    suffix = config.mask_suffix
    masks = [
        NamedFile(file.image_id.removesuffix(suffix), file.split, file.path)
        for file in mask_files
        if file.image_id.endswith(suffix)
    ]
    if same_folder:
        image_files = [file for file in image_files if not file.image_id.endswith(suffix)]
    return image_files, masks


def _refuse_unsplit(found: Found) -> None:
    for pair in found.pairs:
        if pair.split is None:
            what = "lies in no split folder, while other images do"
            remedy = "Move it, with its mask, into train, val or test"
            found.problems.append(Problem(pair.image_path, what, remedy, "no_split"))
    found.pairs = [pair for pair in found.pairs if pair.split is not None]


def _split_by_lists(tree: FileTree, images_folder: str, found: Found) -> None:
    lists = find_split_lists(tree, LIST_FOLDERS)
    if not lists:
        return
    known = {pair.image_id for pair in found.pairs}
    split_of_id = read_split_lists(tree, lists, known, images_folder, found)
    listed = [pair for pair in found.pairs if pair.image_id in split_of_id]
    if left_out := len(found.pairs) - len(listed):
        found.notes.append(f"{left_out} of {count(len(found.pairs), 'image')} in no split list: left out")
    found.pairs = [replace(pair, split=split_of_id[pair.image_id]) for pair in listed]
