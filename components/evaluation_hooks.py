"""What TFX's Evaluator looks up by name: how the models are found and how images reach them.

Functions only: TFX imports this module by its path, and may import it again.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

import apache_beam as beam
import pyarrow as pa
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import config_pb2

from data.cut_by_pixels import cut_by_pixels
from data.features import IMAGE_HEIGHT_PX, IMAGE_WIDTH_PX

MAX_BATCH_IMAGES = 16
"""So many images go through the model at once, fewer large ones: TFX may read 1,000, which is gigabytes."""


def custom_eval_shared_model(
    eval_saved_model_path: str, model_name: str, eval_config: config_pb2.EvalConfig, **kwargs: Any
) -> Any:
    """Returns the model that TFMA evaluates.

    A pushed version is a SavedModel itself, while TFX looks for the model artifact's inner folder.
    """
    path = PurePath(eval_saved_model_path)
    return tfma.default_eval_shared_model(
        eval_saved_model_path=str(path.parent if model_name == tfma.BASELINE_KEY else path),
        model_name=model_name,
        eval_config=eval_config,
        include_default_metrics=False,
        **kwargs,
    )


def custom_extractors(
    eval_shared_model: Any, eval_config: config_pb2.EvalConfig, tensor_adapter_config: Any
) -> list[Any]:
    """Returns TFMA's extractors without those for labels and weights, behind one of ours.

    Ours keeps only the raw examples and the features that slices are made of, and cuts large batches.
    """
    del tensor_adapter_config
    keys = sorted({key for spec in eval_config.slicing_specs for key in spec.feature_keys})
    return [
        tfma.extractors.Extractor(
            stage_name="CutBatches", ptransform=beam.FlatMap(cut_batch, keys, MAX_BATCH_IMAGES)
        ),
        tfma.extractors.FeaturesExtractor(eval_config=eval_config),
        tfma.extractors.PredictionsExtractor(eval_config=eval_config, eval_shared_model=eval_shared_model),
        tfma.extractors.UnbatchExtractor(),
        tfma.extractors.SliceKeyExtractor(eval_config=eval_config, materialize=False),
    ]


def cut_batch(extracts: dict[str, Any], feature_keys: list[str], max_images: int) -> Iterator[dict[str, Any]]:
    """Yields a batch of examples in pieces, with no more columns than the evaluation needs."""
    batch: pa.RecordBatch = extracts[tfma.ARROW_RECORD_BATCH_KEY]
    names = [tfma.ARROW_INPUT_COLUMN, *(key for key in feature_keys if key in batch.schema.names)]
    slim = pa.RecordBatch.from_arrays([batch.column(batch.schema.get_field_index(n)) for n in names], names)
    for rows in cut_by_pixels(_count_pixels(batch), max_images):
        piece = copy.copy(extracts)
        piece[tfma.ARROW_RECORD_BATCH_KEY] = slim.slice(rows.start, rows.stop - rows.start)
        yield piece


def _count_pixels(batch: pa.RecordBatch) -> list[int]:
    """Returns the pixels of each image at its own size; 0 where the examples do not say."""
    sides = []
    for name in (IMAGE_HEIGHT_PX, IMAGE_WIDTH_PX):
        index = batch.schema.get_field_index(name)
        rows = batch.column(index).to_pylist() if index >= 0 else [None] * batch.num_rows
        sides.append([row[0] if row else 0 for row in rows])
    return [height * width for height, width in zip(*sides, strict=True)]
