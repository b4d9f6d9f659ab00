"""Scans and photographs of the embedded sample, dealt out to the splits so that none shares any.

Where the pixels come from, all of it inside scikit-learn:

* ``sklearn.datasets.load_digits``: 1,797 scans of handwritten digits, 8x8 pixels of 0 to 16, the test
  part of the UCI data set "Optical Recognition of Handwritten Digits" by E. Alpaydin and C. Kaynak
  (1998), preprocessed with programs made available by NIST. CC BY 4.0 at the UCI repository.
* ``sklearn.datasets.load_sample_images``: two photographs, 427x640 pixels, retrieved by Robert Layton
  in 2011. ``china.jpg`` by danielbuechele (https://www.flickr.com/photos/danielbuechele/6061409035),
  ``flower.jpg`` from https://www.flickr.com/photos/vultilion/6056698931; Creative Commons Attribution
  2.0 (https://creativecommons.org/licenses/by/2.0/), some rights reserved.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

SPLITS = ("train", "val", "test")
CLASS_NAMES = ("background", *(f"digit_{digit}" for digit in range(10)))

# Shares of the scans of each class; the columns of both photographs. Every strip is wider than a scene.
_SCAN_SHARES = {"train": 0.70, "val": 0.10, "test": 0.20}
PHOTO_COLUMNS_PX = {"train": (0, 352), "test": (352, 512), "val": (512, 640)}


@dataclass(frozen=True)
class SplitSources:
    """What one split's scenes are made of.

    Attributes:
        scan_indices: int64 [scans], places in ``load_digits``.
        scans: float32 [scans, 8, 8], ink from 0 to 1.
        digits: int64 [scans], 0 to 9.
        photos: uint8 [rows, columns, 3] each.
    """

    scan_indices: npt.NDArray[np.int64]
    scans: npt.NDArray[np.float32]
    digits: npt.NDArray[np.int64]
    photos: tuple[npt.NDArray[np.uint8], ...]


@cache
def _load_all() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], tuple[npt.NDArray[np.uint8], ...]]:
    from sklearn.datasets import load_digits, load_sample_images

    digits = load_digits()
    photos = tuple(np.asarray(photo, np.uint8) for photo in load_sample_images().images)
    return (digits.images / 16).astype(np.float32), digits.target.astype(np.int64), photos


def assign_scans(digits: npt.NDArray[np.int64], seed: int) -> dict[str, npt.NDArray[np.int64]]:
    """Deals the scans out to the splits, each class in the same shares.

    Args:
        digits: int64 [scans], the class of every scan.
        seed: who goes where depends on it alone.

    Returns:
        Sorted indices of each split's scans; every scan is in exactly one split.
    """
    rng = np.random.default_rng([seed, 0])
    dealt: dict[str, list[npt.NDArray[np.int64]]] = {split: [] for split in SPLITS}
    bounds = np.cumsum([_SCAN_SHARES[split] for split in SPLITS])[:-1]
    for digit in range(10):
        members = rng.permutation(np.flatnonzero(digits == digit))
        parts = np.split(members, np.round(bounds * len(members)).astype(int))
        for split, part in zip(SPLITS, parts, strict=True):
            dealt[split].append(part)
    return {split: np.sort(np.concatenate(parts)) for split, parts in dealt.items()}


def load_sources(seed: int) -> dict[str, SplitSources]:
    """Returns each split's own scans and its own columns of the photographs."""
    scans, digits, photos = _load_all()
    sources = {}
    for split, indices in assign_scans(digits, seed).items():
        left, right = PHOTO_COLUMNS_PX[split]
        regions = tuple(photo[:, left:right] for photo in photos)
        sources[split] = SplitSources(indices, scans[indices], digits[indices], regions)
    return sources
