"""How far two distributions are apart, from the quantiles that TFDV keeps of each.

TFDV's Jensen-Shannon divergence lays equal-width histograms over each other. Where a feature is nearly
constant, or one value lies far out, the same data falls into other bins: 10,000 images of one height
against the same and a single other one are 1.0 apart. Quantiles do not move for a single value.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from tensorflow_metadata.proto.v0 import statistics_pb2

Bucket: TypeAlias = Any  # statistics_pb2.Histogram.Bucket, which has no types


def quantile_distance(
    one: statistics_pb2.FeatureNameStatistics, other: statistics_pb2.FeatureNameStatistics
) -> float | None:
    """Returns a lower bound of the Kolmogorov-Smirnov distance of two numeric features.

    That is the largest difference between the shares of examples up to a value, from 0, the same, to 1,
    nothing in common. Where inside a quantile's bucket its examples lie is not known; the bound takes
    whatever brings the two closest, and so is low by at most two buckets of each side.

    Returns:
        The distance, or None if either feature has no quantiles.
    """
    first, second = _quantiles(one), _quantiles(other)
    if not first or not second:
        return None
    values = {edge for bucket in (*first, *second) for edge in (bucket.low_value, bucket.high_value)}
    return max(_gap(_share_up_to(first, value), _share_up_to(second, value)) for value in values)


def _quantiles(feature: statistics_pb2.FeatureNameStatistics) -> list[Bucket]:
    return [
        bucket
        for histogram in feature.num_stats.histograms
        if histogram.type == statistics_pb2.Histogram.QUANTILES
        for bucket in histogram.buckets
    ]


def _share_up_to(buckets: list[Bucket], value: float) -> tuple[float, float]:
    """Returns the least and the largest share of examples that may be at or below a value."""
    total = sum(bucket.sample_count for bucket in buckets)
    surely = sum(bucket.sample_count for bucket in buckets if bucket.high_value <= value)
    possibly = sum(bucket.sample_count for bucket in buckets if bucket.low_value <= value)
    return (surely / total, possibly / total) if total else (0.0, 1.0)


def _gap(one: tuple[float, float], other: tuple[float, float]) -> float:
    return max(0.0, one[0] - other[1], other[0] - one[1])
