"""TFMA's result files as plain values: metrics and whole confusion matrices, by split and by slice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow_model_analysis as tfma

from components.confusion_matrix_metric import MATRIX_METRIC
from components.evaluation_results import GateFailures, SliceResult
from data.features import IMAGE_SPLIT
from trainer.confusion_matrix import metric_names


def read_slices(
    output_path: str, class_names: Sequence[str], model_name: str = ""
) -> tuple[SliceResult, ...]:
    """Reads the results of one model from the files that TFMA wrote.

    Args:
        output_path: the evaluation's folder.
        class_names: names of the classes in the order of their ids.
        model_name: TFMA's name of the model; empty if only one was evaluated.

    Returns:
        A result a slice, whole splits first.
    """
    records = tfma.load_metrics(output_path)
    results = (_read_slice(record, class_names, model_name) for record in records)
    return tuple(
        sorted(results, key=lambda result: (len(result.features), result.split, *result.features.values()))
    )


def _read_slice(record: Any, class_names: Sequence[str], model_name: str) -> SliceResult:
    features = {key.column: _slice_value(key) for key in record.slice_key.single_slice_keys}
    values = {
        entry.key.name: entry.value
        for entry in record.metric_keys_and_values
        if entry.key.model_name == model_name and not entry.key.is_diff
    }
    matrix = np.array(values[MATRIX_METRIC].array_value.int64_values, np.int64)
    return SliceResult(
        split=features.pop(IMAGE_SPLIT),
        features=features,
        num_images=int(values["example_count"].double_value.value),
        metrics={name: values[name].double_value.value for name in metric_names(class_names)},
        matrix=matrix.reshape(len(class_names), len(class_names)),
    )


def _slice_value(key: Any) -> str:
    value = getattr(key, key.WhichOneof("kind"))
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def read_failures(output_path: str) -> GateFailures:
    """Reads what TFMA's validation refused from the evaluation's folder."""
    result = tfma.load_validation_result(output_path)
    failures = (failure for part in result.metric_validations_per_slice for failure in part.failures)
    return GateFailures(
        failed=frozenset((failure.metric_key.name, failure.metric_key.is_diff) for failure in failures),
        split_was_missing=bool(result.missing_slices),
        validation_ok=result.validation_ok,
    )
