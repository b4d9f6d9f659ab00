"""What StatisticsGen computes: statistics of the decoded facts, none of the encoded bytes."""

from __future__ import annotations

from collections.abc import Iterable

import tensorflow_data_validation as tfdv

from data.build_schema import build_statistics_schema
from data.config import DataConfig


def build_statistics_options(config: DataConfig, attributes: Iterable[str] = ()) -> tfdv.StatsOptions:
    """Returns the options for ``StatisticsGen(stats_options=...)``.

    The schema in them is there to be read by: with it, the reader parses the facts only and skips the
    images and masks in each record. It holds no limits, so that they do not invalidate statistics.

    Args:
        config: the data set.
        attributes: names of the image-level attributes.
    """
    return tfdv.StatsOptions(
        schema=build_statistics_schema(config, attributes),
        # By hundredths: the gate compares distributions by them.
        num_quantiles_histogram_buckets=100,
        experimental_filter_read_paths=True,
    )
