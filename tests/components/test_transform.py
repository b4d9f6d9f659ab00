"""Files of transformed examples: bounded, in order, and TFX's own way again afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def test_records_go_to_files_of_bounded_size_in_their_order(tmp_path: Path) -> None:
    import apache_beam as beam
    import tensorflow as tf
    from apache_beam.io import iobase

    from components.transform import ShardSink

    records = [f"{number:03d}".encode() * 100 for number in range(100)]
    with beam.Pipeline() as pipeline:
        created = pipeline | beam.Create(records, reshuffle=False)
        _ = created | iobase.Write(ShardSink(str(tmp_path / "examples"), max_bytes=1000))

    files = sorted(tmp_path.iterdir())
    # A record of 300 bytes and TFRecord's 16 around it: the fourth is the one that fills a file.
    assert [file.name for file in files] == [f"examples-{n:05d}-of-00025.gz" for n in range(25)]
    written = [list(tf.data.TFRecordDataset(str(file), "GZIP").as_numpy_iterator()) for file in files]
    assert {len(some) for some in written} == {4}
    assert [record for some in written for record in some] == records


def test_tfx_writes_through_it_while_the_executor_works_only() -> None:
    from tfx.components.transform.executor import TransformProcessor

    from components import transform

    before = TransformProcessor._EncodeAndWrite
    with transform._bounded_files():
        write = TransformProcessor()._EncodeAndWrite(schema=None, file_format="tfrecord", output_path="x")
        assert isinstance(write, transform._EncodeAndWrite)
    assert TransformProcessor._EncodeAndWrite is before
