"""Layout ``voc``: JPEGImages, SegmentationClass, ImageSets/Segmentation/{train,val,test}.txt.

Most images of PASCAL VOC have no segmentation: the lists say which belong to it. ``trainval.txt`` is the
union of the other two and is ignored.
"""

from __future__ import annotations

from dataclasses import replace

from data.config import DataConfig
from data.layouts.match_files import (
    NamedFile,
    missing_folder,
    pair_by_id,
    split_ending,
    take_images,
    take_masks,
)
from data.layouts.read_split_lists import find_split_lists, read_split_lists
from data.open_files import FileTree
from data.pairs import Found
from data.wording import count

IMAGES, MASKS, LISTS = "JPEGImages", "SegmentationClass", "ImageSets/Segmentation"


def find_voc_pairs(config: DataConfig, tree: FileTree) -> Found:
    """Finds the pairs of PASCAL VOC; without lists, every image that has a mask."""
    found = Found()
    for folder in (IMAGES, MASKS):
        if folder not in tree.folders:
            found.problems.append(missing_folder(tree, folder))
    if found.problems:
        return found
    images = take_images(_files_of(tree, IMAGES), found)
    masks = take_masks(_files_of(tree, MASKS))
    masked_ids = {mask.image_id for mask in masks}
    lists = find_split_lists(tree, (LISTS,))
    if not lists:
        images = [image for image in images if image.image_id in masked_ids]
        pair_by_id(images, masks, found, tree.path(MASKS))
        return found
    split_of_id = read_split_lists(tree, lists, {image.image_id for image in images}, IMAGES, found)
    if "test" in lists and not any(
        split == "test" and id_ in masked_ids for id_, split in split_of_id.items()
    ):
        del found.declared_splits["test"]
        split_of_id = {id_: split for id_, split in split_of_id.items() if split != "test"}
        found.notes.append("the split test is left out: no image in its list has a mask")
    image_ids = {image.image_id for image in images}
    images = [image for image in images if image.image_id in split_of_id]
    listed = [mask for mask in masks if mask.image_id in split_of_id or mask.image_id not in image_ids]
    if unlisted := len(masks) - len(listed):
        found.notes.append(f"{count(unlisted, 'image')} with a mask but in no split list: left out")
    pair_by_id(images, listed, found, tree.path(MASKS))
    found.pairs = [replace(pair, split=split_of_id[pair.image_id]) for pair in found.pairs]
    return found


def _files_of(tree: FileTree, folder: str) -> list[NamedFile]:
    start = folder + "/"
    return [
        NamedFile(split_ending(below.removeprefix(start))[0], None, tree.path(below))
        for below in tree.files
        if below.startswith(start)
    ]
