"""Results of an evaluation as plain values. Imports neither TFX nor TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.confusion_matrix import SUMMARY_METRICS, class_iou_key


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
