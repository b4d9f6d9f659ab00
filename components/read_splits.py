"""Reading several splits as one source, in memory that does not follow their size.

TFX's Evaluator reads each split by itself and flattens the collections. Beam's local runner keeps whatever
goes through a flatten of several until all of it is there: every image, as bytes and as Arrow tables. So the
names of the files are put together instead, which are small, and the records read behind that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import apache_beam as beam
from tfx import types
from tfx.components.evaluator import executor as tfx_evaluator
from tfx.types import artifact_utils
from tfx.utils import io_utils
from tfx_bsl.tfxio import tf_example_record

_FACTORY = "get_tfxio_factory_from_artifact"


class JoinedExamples(tf_example_record.TFExampleRecord):
    """TFX's reader of tf.Examples, with one source however many patterns there are."""

    def RawRecordBeamSource(self) -> beam.PTransform:  # noqa: N802 - the base's name
        """Returns the transform from a pipeline to serialized examples."""
        return _ReadRecords(self._file_pattern)


class _ReadRecords(beam.PTransform):
    """A pipeline to the records of the TFRecord files that patterns stand for."""

    def __init__(self, patterns: Sequence[str]) -> None:
        super().__init__()
        self._patterns = list(patterns)

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection[bytes]:
        """Applies the transform."""
        records = pipeline | "ListPatterns" >> beam.Create(self._patterns)
        return records | "ReadFiles" >> beam.io.ReadAllFromTFRecord().with_output_types(bytes)


@contextmanager
def joined_splits(examples: types.Artifact, splits: Sequence[str]) -> Iterator[None]:
    """Makes every split that TFX's Evaluator opens within be all of ``splits``: let it open one.

    Args:
        examples: the artifact.
        splits: that it has.
    """
    patterns = [
        io_utils.all_files_pattern(artifact_utils.get_split_uri([examples], split)) for split in splits
    ]

    def make_factory(
        examples: Any, telemetry_descriptors: Any, schema: Any = None, raw_record_column_name: Any = None
    ) -> Callable[[Any], JoinedExamples]:
        del examples
        return lambda _: JoinedExamples(
            patterns,
            schema=schema,
            raw_record_column_name=raw_record_column_name,
            telemetry_descriptors=telemetry_descriptors,
        )

    utilities = tfx_evaluator.tfxio_utils
    before = getattr(utilities, _FACTORY)
    setattr(utilities, _FACTORY, make_factory)
    try:
        yield
    finally:
        setattr(utilities, _FACTORY, before)
