"""How unlike train the other splits look, from the facts of each image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from data import features
from data.examine_pair import PairFacts

FEWEST_IMAGES = 30
"""With fewer on either side, chance alone sets histograms far apart."""
_BINS = 10


def measure_split_distances(
    facts: Sequence[PairFacts], class_names: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Returns split -> feature (a key of ``data.features``) -> distance from train, 0 to 1.

    Numbers are compared by the Jensen-Shannon divergence, in bits, of histograms of 10 equal bins;
    formats by the largest difference of shares. Splits of fewer than 30 images are left out.
    """
    by_split: dict[str, list[PairFacts]] = {}
    for fact in facts:
        by_split.setdefault(fact.pair.split, []).append(fact)
    train = by_split.get("train", [])
    distances: dict[str, dict[str, float]] = {}
    for split, inside in by_split.items():
        if split != "train" and min(len(train), len(inside)) >= FEWEST_IMAGES:
            ours, theirs = _columns(inside, class_names), _columns(train, class_names)
            distances[split] = {
                name: jensen_shannon_divergence(ours[name], theirs[name]) for name in ours
            } | {features.IMAGE_FORMAT: _largest_difference(inside, train)}
    return distances


def jensen_shannon_divergence(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Returns the divergence, in bits, of the histograms of two samples over their common range."""
    low, high = min(one.min(), other.min()), max(one.max(), other.max())
    if low == high:
        return 0.0
    shares = [np.histogram(values, _BINS, (low, high))[0] / len(values) for values in (one, other)]
    mean = (shares[0] + shares[1]) / 2
    total = 0.0
    for share in shares:
        there = share > 0
        total += float((share[there] * np.log2(share[there] / mean[there])).sum())
    return min(1.0, max(0.0, total / 2))


def _columns(facts: Sequence[PairFacts], class_names: Sequence[str]) -> Mapping[str, NDArray[np.float64]]:
    columns = {
        features.IMAGE_HEIGHT_PX: [fact.height_px for fact in facts],
        features.IMAGE_WIDTH_PX: [fact.width_px for fact in facts],
        features.IMAGE_CHANNELS: [fact.channels for fact in facts],
        features.IMAGE_BIT_DEPTH: [fact.bit_depth for fact in facts],
        features.IMAGE_MEAN: [fact.image_mean for fact in facts],
        features.MASK_VOID_SHARE: [fact.void_share for fact in facts],
    }
    for index, name in enumerate(class_names):
        columns[features.class_pixels_key(name)] = [fact.class_pixels[index] for fact in facts]
    return {name: np.asarray(values, np.float64) for name, values in columns.items()}


def _largest_difference(one: Sequence[PairFacts], other: Sequence[PairFacts]) -> float:
    ours, theirs = (Counter(fact.image_format for fact in facts) for facts in (one, other))
    return max(abs(ours[kind] / len(one) - theirs[kind] / len(other)) for kind in ours.keys() | theirs.keys())
