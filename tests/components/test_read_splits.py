"""Several splits read as one source, on real examples."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow


def test_all_splits_come_from_one_source_that_no_flatten_holds_up(
    tmp_path: Path, write_examples: Callable[..., Any], small: Any
) -> None:
    import apache_beam as beam
    import tensorflow as tf
    from apache_beam.testing.util import assert_that, equal_to
    from tfx.components.evaluator import executor

    from components.read_splits import joined_splits

    scenes = {split: [small.make_scene(seed, 8, 8)] for seed, split in enumerate(("train", "val", "test"))}
    examples = write_examples(tmp_path / "examples", scenes)
    before = executor.tfxio_utils.get_tfxio_factory_from_artifact

    pipeline = beam.Pipeline()
    with joined_splits(examples, ["train", "test"]):
        factory = executor.tfxio_utils.get_tfxio_factory_from_artifact(
            examples=[examples], telemetry_descriptors=["test"], schema=None, raw_record_column_name="raw"
        )
        batches = pipeline | factory("nothing/of/this/name").BeamSource()
    assert executor.tfxio_utils.get_tfxio_factory_from_artifact is before
    rows = batches | beam.FlatMap(lambda batch: [row[0] for row in batch.column("raw").to_pylist()])
    files = [file for split in ("train", "test") for file in (tmp_path / f"examples/Split-{split}").iterdir()]
    expected = [r for file in files for r in _read(tf, file)]
    assert len(expected) == 2
    assert_that(rows, equal_to(expected))

    for name, transform in pipeline.to_runner_api().components.transforms.items():
        # Beam's local runner keeps what goes through a flatten of several.
        is_flatten = transform.spec.urn == "beam:transform:flatten:v1" and "assert_that" not in name
        assert not (is_flatten and len(transform.inputs) > 1), name
    pipeline.run().wait_until_finish()


def _read(tf: Any, file: Path) -> list[bytes]:
    compression = "GZIP" if file.suffix == ".gz" else ""
    return list(tf.data.TFRecordDataset(str(file), compression).as_numpy_iterator())
