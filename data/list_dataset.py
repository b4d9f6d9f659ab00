"""A data set's pairs with their attributes, and all that is wrong short of opening images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from data.config import DataConfig
from data.list_pairs import list_pairs
from data.open_files import is_remote
from data.pairs import Listing, Pair
from data.read_attributes import read_attributes


def list_dataset(config: DataConfig) -> Listing:
    """Lists a data set with every attribute in its pairs and every problem short of opening images.

    Raises:
        RefusedError: if the root is no folder.
    """
    listing = list_pairs(config)
    attributes = read_attributes(config, listing)
    pairs = tuple(
        replace(pair, attributes=tuple(sorted(attributes.by_image[pair.image_id].items())))
        for pair in listing.pairs
    )
    return replace(listing, pairs=pairs, problems=tuple(sorted({*listing.problems, *attributes.problems})))


def measure_pairs(pairs: Iterable[Pair]) -> int:
    """Returns the bytes of all images and masks on this machine; files elsewhere, or gone, count nothing."""
    total = 0
    for pair in pairs:
        for path in (pair.image_path, pair.mask_path):
            try:
                total += 0 if is_remote(path) else Path(path).stat().st_size
            except OSError:
                continue
    return total
