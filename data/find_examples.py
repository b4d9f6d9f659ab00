"""Finding the images behind a finding: which examples of a split break the schema or stand out most."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import tensorflow as tf
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from data import features

Value = float | str | None
"""A feature's value in an example; None where it is absent."""
Score = Callable[[Value], float]
"""How much a value stands out; 0 or less for those that do not."""

Key = TypeVar("Key")


@dataclass(frozen=True)
class FoundImages:
    """Images that stand out.

    Attributes:
        image_ids: those that stand out most, most first.
        total: how many stand out at all.
    """

    image_ids: tuple[str, ...]
    total: int


def find_images(
    files: Sequence[str], scores: Mapping[Key, tuple[str, Score]], limit: int = 10
) -> dict[Key, FoundImages]:
    """Reads all examples of a split once and finds those that stand out.

    Args:
        files: TFRecord files.
        scores: any key -> a feature, and how much a value of it stands out.
        limit: at most so many ids a key.
    """
    best: dict[Key, list[tuple[float, str]]] = {key: [] for key in scores}
    totals = dict.fromkeys(scores, 0)
    for record in tf.data.TFRecordDataset(list(files)).as_numpy_iterator():
        example = tf.train.Example.FromString(record)
        image_id = str(_value(example, features.IMAGE_ID))
        for key, (feature, score) in scores.items():
            points = score(_value(example, feature))
            if points > 0:
                totals[key] += 1
                best[key] = heapq.nsmallest(limit, [*best[key], (-points, image_id)])
    return {key: FoundImages(tuple(name for _, name in best[key]), totals[key]) for key in scores}


def outside_domain(feature: schema_pb2.Feature) -> Score:
    """Returns how far a value is outside of what the schema allows; infinite for one that is missing."""
    allowed = set(feature.string_domain.value)
    domain = feature.int_domain if feature.HasField("int_domain") else feature.float_domain
    bounded = feature.HasField("int_domain") or feature.HasField("float_domain")

    def score(value: Value) -> float:
        if value is None:
            return math.inf if feature.presence.min_fraction > 0 else 0.0
        if isinstance(value, str):
            return 1.0 if allowed and value not in allowed else 0.0
        if math.isnan(value):
            return math.inf
        return max(domain.min - value, value - domain.max, 0.0) if bounded else 0.0

    return score


def unlike(
    reference: statistics_pb2.FeatureNameStatistics, own: statistics_pb2.FeatureNameStatistics
) -> Score:
    """Returns how much a value makes a distribution differ from a reference.

    For numbers it is the distance from the reference's mean; for strings, by how much the value is more
    frequent than in the reference.
    """
    if own.HasField("num_stats"):
        mean = reference.num_stats.mean
        return lambda value: abs(value - mean) if isinstance(value, int | float) else 0.0
    expected, seen = _shares(reference), _shares(own)
    return lambda value: seen.get(str(value), 0.0) - expected.get(str(value), 0.0)


def _shares(statistics: statistics_pb2.FeatureNameStatistics) -> dict[str, float]:
    buckets = statistics.string_stats.rank_histogram.buckets
    total = statistics.string_stats.common_stats.num_non_missing or 1
    return {bucket.label: bucket.sample_count / total for bucket in buckets}


def _value(example: tf.train.Example, feature: str) -> Value:
    found = example.features.feature.get(feature)
    if found is None:
        return None
    if found.bytes_list.value:
        return bytes(found.bytes_list.value[0]).decode("utf-8", "replace")
    numbers = found.int64_list.value or found.float_list.value
    return float(numbers[0]) if numbers else None
