"""Layout ``cityscapes``.

``leftImg8bit/<split>/<city>/x_leftImg8bit.png`` and ``gtFine/<split>/<city>/x_gtFine_labelIds.png``.

The masks hold label ids; the class table's ``mask_values`` say which train id each becomes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from data.assign_splits import SPLIT_NAMES, SplitName
from data.config import DataConfig
from data.decode_mask import build_mask_codec
from data.layouts.match_files import NamedFile, missing_folder, pair_by_id, take_images
from data.open_files import FileTree, read_bytes
from data.open_image import MAX_FILE_BYTES, UnreadableImageError
from data.pairs import Found, FoundPair
from data.wording import count

IMAGES, MASKS = "leftImg8bit", "gtFine"
IMAGE_ENDING, MASK_ENDING = "_leftImg8bit.png", "_gtFine_labelIds.png"
_MASKS_LOOKED_AT = 3


def find_cityscapes_pairs(config: DataConfig, tree: FileTree) -> Found:
    """Finds the pairs of Cityscapes; the city becomes an attribute.

    The public test split comes with masks that are void throughout, which nothing can be measured on:
    it is left out, and a note says so.
    """
    found = Found()
    for folder in (IMAGES, MASKS):
        if folder not in tree.folders:
            found.problems.append(missing_folder(tree, folder))
    if found.problems:
        return found
    for split in SPLIT_NAMES:
        if f"{IMAGES}/{split}" in tree.folders or f"{MASKS}/{split}" in tree.folders:
            found.declared_splits[split] = tree.path(f"{IMAGES}/{split}")
    images = take_images(_files_of(tree, IMAGES, IMAGE_ENDING), found)
    pair_by_id(images, _files_of(tree, MASKS, MASK_ENDING), found, tree.path(MASKS))
    found.pairs = [
        replace(pair, attributes=(("city", pair.image_path.split("/")[-2]),)) for pair in found.pairs
    ]
    _leave_out_void_test(config, found)
    return found


def _files_of(tree: FileTree, folder: str, ending: str) -> list[NamedFile]:
    files = []
    for below in tree.files:
        parts = below.split("/")
        if len(parts) == 4 and parts[0] == folder and parts[3].endswith(ending) and parts[1] in SPLIT_NAMES:
            split: SplitName = next(name for name in SPLIT_NAMES if name == parts[1])
            files.append(NamedFile(parts[3].removesuffix(ending), split, tree.path(below)))
    return files


def _leave_out_void_test(config: DataConfig, found: Found) -> None:
    test = sorted((pair for pair in found.pairs if pair.split == "test"), key=lambda pair: pair.image_id)
    if not test or not all(_is_void(config, pair) for pair in test[:: max(1, len(test) // _MASKS_LOOKED_AT)]):
        return
    found.pairs = [pair for pair in found.pairs if pair.split != "test"]
    del found.declared_splits["test"]
    found.notes.append(f"the split test is left out: {count(len(test), 'mask')} there, void throughout")


def _is_void(config: DataConfig, pair: FoundPair) -> bool:
    codec = build_mask_codec(config)
    try:
        mask = codec.decode(read_bytes(pair.mask_path, MAX_FILE_BYTES))
    except (OSError, UnreadableImageError):
        return False
    return not mask.unknown and bool(np.all(mask.class_ids == config.ignore_id))
