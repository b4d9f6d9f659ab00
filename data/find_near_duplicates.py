"""Finding images of one split that look like images of another: encoded or resized anew, or the next frame.

Exact copies are ``find_leaks``' to find.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from data.assign_splits import SPLIT_NAMES
from data.errors import Problem
from data.hash_thumbnail import HASH_BITS
from data.wording import count

Action = Literal["warn", "fail", "ignore"]

MAX_DISTANCE = 40
"""Measured on CamVid and on the embedded sample (``tests/benchmarks/measure_near_duplicates.py``): JPEG of
quality 60, half the size and 10 % more or less brightness, alone or together, change at most 22 of the 256
bits, a hundredth cut off at each side 36; images of other sequences or scenes differ in 62 or more."""
MOST_LISTED = 20
_BLOCK_ROWS, _BLOCK_COLUMNS = 1024, 4096


@dataclass(frozen=True)
class NearDuplicateRule:
    """What is done about near-duplicates.

    Attributes:
        action: warn of them, refuse the data set, or do not look for them.
        max_distance: so many of the bits of two hashes may be different.
    """

    action: Action = "warn"
    max_distance: int = MAX_DISTANCE


WARN = NearDuplicateRule()


@dataclass(frozen=True)
class HashedImage:
    """An image as far as it is compared; ``perceptual_hash`` is empty for one with too little in it."""

    path: str
    split: str
    sha256: str
    perceptual_hash: str


@dataclass(frozen=True)
class NearDuplicate:
    """An image and the one that looks most like it in an earlier split of train, val and test."""

    split: str
    path: str
    other_split: str
    other_path: str
    distance: int


@dataclass(frozen=True)
class NearDuplicates:
    """The near-duplicates of a data set.

    Attributes:
        found: the nearest for each image and other split with any near enough, the nearest first.
        images: so many images there are in each split.
        plain: so many of them have too little in them to be compared.
        max_distance: so many of the 256 bits of two hashes may be different.
    """

    found: tuple[NearDuplicate, ...]
    images: Mapping[str, int]
    plain: int
    max_distance: int

    def summarise(self) -> Iterator[tuple[str, str]]:
        """Yields a split and a sentence on it, for each other split that it has near-duplicates in."""
        numbers = Counter((one.split, one.other_split) for one in self.found)
        for (split, other), number in sorted(numbers.items()):
            verb = "looks" if number == 1 else "look"
            yield (
                split,
                f"{number:,} of {count(self.images[split], 'image')} in {split} {verb} like images in {other}"
                f" (encoded or resized anew, or the next frame): metrics on {split} flatter the model",
            )

    def list_found(self) -> Iterator[str]:
        """Yields a sentence a near-duplicate, for at most 20, and how many more there are."""
        for one in self.found[:MOST_LISTED]:
            other = f"{one.other_path} in {one.other_split}"
            yield f"{one.path} looks like {other} (distance {one.distance} of {HASH_BITS})"
        if (more := len(self.found) - MOST_LISTED) > 0:
            yield f"and {more:,} more"

    def notes(self) -> Iterator[str]:
        """Yields what was not compared."""
        if self.plain:
            yield (
                f"{count(self.plain, 'image')} with next to nothing to see (an empty sky, a black frame) left"
                " out of the search for near-duplicates"
            )

    def problems(self) -> list[Problem]:
        """Returns the near-duplicates as problems: at most 20 of them, and how many more there are."""
        remedy = "Keep such images in one split, or set data_gate.near_duplicates to warn"
        problems = [
            Problem(
                one.path,
                f"is in the split {one.split} and looks like {one.other_path} in {one.other_split}"
                f" (distance {one.distance}; up to {self.max_distance} of {HASH_BITS} is near)",
                remedy,
                "near_duplicate",
            )
            for one in self.found[:MOST_LISTED]
        ]
        if (more := len(self.found) - MOST_LISTED) > 0:
            what = f"{more:,} more images look like images of other splits, {len(self.found):,} in all"
            problems.append(Problem("data_gate.near_duplicates", what, remedy, "near_duplicate"))
        return problems

    def to_json(self) -> dict[str, Any]:
        """Returns all of them as one JSON document."""
        return {
            "max_distance": self.max_distance,
            "plain_images": self.plain,
            "found": [asdict(one) for one in self.found],
        }


def find_near_duplicates(images: Iterable[HashedImage], max_distance: int = MAX_DISTANCE) -> NearDuplicates:
    """Compares every image of a split with every image of each other split; nothing is passed over.

    Memory is bounded: 1 KB an image, and some 50 MB for the blocks in which they are compared.

    Args:
        images: in any order.
        max_distance: so many of the 256 bits of two hashes may be different.
    """
    images = sorted(images, key=lambda image: (image.path, image.split))
    contents = {sha256: number for number, sha256 in enumerate({image.sha256 for image in images})}
    by_split = {
        split: _Split((image for image in images if image.split == split and image.perceptual_hash), contents)
        for split in SPLIT_NAMES
    }
    found = [
        near
        for other, split in combinations(SPLIT_NAMES, 2)
        for near in _compare(by_split[split], by_split[other], max_distance)
    ]
    found.sort(key=lambda one: (one.distance, one.split, one.path, one.other_split))
    plain = sum(not image.perceptual_hash for image in images)
    return NearDuplicates(tuple(found), Counter(image.split for image in images), plain, max_distance)


class _Split:
    """What there is to compare in a split.

    Attributes:
        images: those with a hash.
        contents: int64 [images], the same number for the same file.
        signs: float32 [images, 256], the hashes' bits as -1 and 1.
    """

    def __init__(self, images: Iterable[HashedImage], contents: Mapping[str, int]) -> None:
        self.images = list(images)
        self.contents = np.array([contents[image.sha256] for image in self.images], np.int64)
        hashes = bytes.fromhex("".join(image.perceptual_hash for image in self.images))
        bits = np.unpackbits(np.frombuffer(hashes, np.uint8).reshape(-1, HASH_BITS // 8), axis=1)
        self.signs: NDArray[np.float32] = 2 * bits.astype(np.float32) - 1


def _compare(split: _Split, other: _Split, max_distance: int) -> Iterator[NearDuplicate]:
    """Yields the nearest image of the other split for each image that has one near enough."""
    least = HASH_BITS - 2 * max_distance
    for row in range(0, len(split.images), _BLOCK_ROWS):
        rows = slice(row, row + _BLOCK_ROWS)
        images = split.images[rows]
        most, nearest = np.full(len(images), least - 1, np.float32), np.zeros(len(images), np.int64)
        for column in range(0, len(other.images), _BLOCK_COLUMNS):
            columns = slice(column, column + _BLOCK_COLUMNS)
            # Equal bits less different ones. A product of matrices counts them faster than any bit trick, and
            # exactly: they are small whole numbers.
            agreement = split.signs[rows] @ other.signs[columns].T
            near = np.flatnonzero(agreement.max(axis=1) >= least)
            agreement = agreement[near]
            agreement[split.contents[rows][near, np.newaxis] == other.contents[columns]] = -HASH_BITS
            found = agreement.max(axis=1, initial=-HASH_BITS)
            better = found > most[near]
            most[near[better]] = found[better]
            nearest[near[better]] = column + agreement[better].argmax(axis=1)
        for place in np.flatnonzero(most >= least):
            image, twin = images[place], other.images[nearest[place]]
            distance = int(HASH_BITS - most[place]) // 2
            yield NearDuplicate(image.split, image.path, twin.split, twin.path, distance)
