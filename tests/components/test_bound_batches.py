"""Batches bounded by bytes, with tfx_bsl's own batching."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow

RECORD = b"x" * 4_000_000


def _check_sizes(sizes: list[int]) -> None:
    assert sum(sizes) == 20
    assert max(sizes) <= 6, sizes  # 20 MiB hold five records of 4 MB, and one more may fill them.


def test_large_records_come_in_small_batches_and_the_switch_goes_back() -> None:
    import apache_beam as beam
    from absl import flags
    from apache_beam.testing.util import assert_that
    from tfx_bsl.coders import batch_util

    from components.bound_batches import bounded_batches

    with bounded_batches(), beam.Pipeline() as pipeline:
        assert flags.FLAGS["tfxio_use_byte_size_batching"].value is True
        sizes = (
            pipeline
            | beam.Create([RECORD] * 20, reshuffle=False)
            | batch_util.BatchRecords(None, telemetry_descriptors=["test"])
            | beam.Map(len)
        )
        assert_that(sizes, _check_sizes)

    assert flags.FLAGS["tfxio_use_byte_size_batching"].value is False
