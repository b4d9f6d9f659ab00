"""Transform: TFX's, with the transformed examples of a split in as many files as their size asks for.

TFX's writes what one worker transforms to one file. Beam would cut it by a shuffle, which holds every image;
here a file is closed when it is large enough, and the next one begun.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import apache_beam as beam
from apache_beam import coders
from apache_beam.io import iobase, tfrecordio
from tfx import types
from tfx.components import Transform as TfxTransform
from tfx.components.transform import executor as tfx_transform
from tfx.dsl.components.base import executor_spec

MAX_SHARD_BYTES = 16_000_000
"""Of records before they are compressed again, which saves next to nothing."""
_WRITE = "_EncodeAndWrite"


class ShardSink(tfrecordio._TFRecordSink):
    """Compressed TFRecord files of bounded size, numbered in the order in which a worker wrote them.

    Beam sorts files by their temporary names, which begin at random: the order of the records, and with it
    a training, would be another one each time.
    """

    def __init__(self, prefix: str, max_bytes: int = MAX_SHARD_BYTES) -> None:
        super().__init__(
            prefix,
            coder=coders.BytesCoder(),
            file_name_suffix=".gz",
            num_shards=0,
            shard_name_template=None,
            compression_type=beam.io.filesystem.CompressionTypes.AUTO,
        )
        self.max_bytes_per_shard = max_bytes
        self._opened = 0

    def open_writer(self, init_result: str, uid: str) -> Any:
        """Opens the next file."""
        self._opened += 1
        return super().open_writer(init_result, f"{self._opened:08d}-{uid}")


class _EncodeAndWrite(beam.PTransform):
    """Transformed record batches to files, in place of TFX's transform of that name."""

    def __init__(self, schema: Any, file_format: str, output_path: str) -> None:
        super().__init__()
        del file_format  # TFRecord, the component's default.
        self._schema = schema
        self._output_path = output_path

    def expand(self, batches: beam.PCollection) -> Any:
        """Applies the transform to (record batch, what TFX passes through)."""
        encode = tfx_transform.TransformProcessor._RecordBatchToExamplesFn(self._schema)
        return (
            batches
            | "EncodeAndSerialize" >> beam.ParDo(encode)
            | "ExtractExamples" >> beam.Values()
            | "WriteToTFRecord" >> iobase.Write(ShardSink(self._output_path))
        )


@contextmanager
def _bounded_files() -> Iterator[None]:
    processor = tfx_transform.TransformProcessor
    before = vars(processor)[_WRITE]
    setattr(processor, _WRITE, staticmethod(_EncodeAndWrite))
    try:
        yield
    finally:
        setattr(processor, _WRITE, before)


class Executor(tfx_transform.Executor):
    """Analyses and transforms as TFX does."""

    def Do(  # noqa: N802
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the transform graph and the transformed examples."""
        with _bounded_files():
            super().Do(input_dict, output_dict, exec_properties)


class Transform(TfxTransform):
    """Analyses the training split and transforms training and validation; see TFX's."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
