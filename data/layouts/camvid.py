"""Layout ``camvid``, as SegNet's authors arranged it: train and trainannot, val and valannot, and test."""

from __future__ import annotations

from data.assign_splits import SPLIT_NAMES
from data.config import DataConfig
from data.layouts.match_files import (
    NamedFile,
    missing_folder,
    pair_by_id,
    split_ending,
    take_images,
    take_masks,
)
from data.open_files import FileTree
from data.pairs import Found

MASKS_ENDING = "annot"


def find_camvid_pairs(config: DataConfig, tree: FileTree) -> Found:
    """Finds the pairs of CamVid; splits whose two folders are both absent are left out."""
    found = Found()
    for split in SPLIT_NAMES:
        images_folder, masks_folder = split, split + MASKS_ENDING
        there = [folder for folder in (images_folder, masks_folder) if folder in tree.folders]
        if not there and split != "train":
            continue
        found.declared_splits[split] = tree.path(images_folder)
        if len(there) < 2:
            absent = {images_folder, masks_folder} - set(there)
            found.problems.extend(missing_folder(tree, folder) for folder in sorted(absent))
            continue

        def files_of(folder: str) -> list[NamedFile]:
            return [
                NamedFile(split_ending(below.removeprefix(folder + "/"))[0], split, tree.path(below))  # noqa: B023
                for below in tree.files
                if below.startswith(folder + "/")
            ]

        images = take_images(files_of(images_folder), found)
        pair_by_id(images, take_masks(files_of(masks_folder)), found, tree.path(masks_folder))
    return found
