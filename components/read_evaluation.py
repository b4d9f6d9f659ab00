"""TFMA's result files as plain values: metrics and whole confusion matrices, by split and by slice."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow_model_analysis as tfma
from numpy.typing import NDArray

from components.confusion_matrix_metric import MATRIX_METRIC
from data.features import IMAGE_SPLIT
from trainer.confusion_matrix import SUMMARY_METRICS, class_iou_key, metric_names


@dataclass(frozen=True)
class SliceResult:
    """One model's result on one slice of one split."""

    split: str
    features: Mapping[str, str]
    """The slice's features besides the split; empty for the split as a whole."""
    num_images: int
    metrics: Mapping[str, float]
    """By name; nan where undefined."""
    matrix: NDArray[np.int64]
    """[classes, classes]: rows truth, columns prediction."""

    def to_json(self, class_names: Sequence[str], with_matrix: bool) -> dict[str, Any]:
        """Returns the result as a JSON object."""
        result: dict[str, Any] = {
            "num_images": self.num_images,
            "metrics": nest_metrics(self.metrics, class_names),
        }
        if self.features:
            result = {"split": self.split, "features": dict(self.features), **result}
        if with_matrix:
            result["confusion_matrix"] = self.matrix.tolist()
        return result


@dataclass(frozen=True)
class GateFailures:
    """What TFMA's validation refused."""

    failed: frozenset[tuple[str, bool]]
    """(metric's name, whether it was the comparison with the baseline)."""
    split_was_missing: bool
    """No image of the gate's split was evaluated at all."""
    validation_ok: bool


def nest_metrics(metrics: Mapping[str, float], class_names: Sequence[str]) -> dict[str, Any]:
    """Returns metrics for JSON: the summaries, and ``iou`` by class; nan becomes None."""
    summary: dict[str, Any] = {name: _none_if_nan(metrics[name]) for name in SUMMARY_METRICS}
    return {**summary, "iou": {name: _none_if_nan(metrics[class_iou_key(name)]) for name in class_names}}


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


def find_empty_slices(
    results: Iterable[SliceResult], wanted: Sequence[Sequence[str]], splits: Sequence[str]
) -> list[str]:
    """Returns a sentence for each slice that was asked for and into which no image fell."""
    found = {(result.split, frozenset(result.features)) for result in results}
    return [
        f"No image of {split} has {' and '.join(features)}, so there is no such slice."
        for features in wanted
        for split in splits
        if (split, frozenset(features)) not in found
    ]


def _none_if_nan(value: float) -> float | None:
    return None if math.isnan(value) else value
