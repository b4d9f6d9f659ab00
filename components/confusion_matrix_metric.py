"""TFMA metrics over the model's ``evaluate`` signature: sums of confusion matrices, and what they give.

The signature counts each image's pixels in its own graph, at the mask's own resolution. Beam only adds
the small matrices, so neither the number nor the sizes of the images matter to memory. Every number is
computed by ``trainer.confusion_matrix``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from numpy.typing import NDArray

from trainer.confusion_matrix import compute_metrics, empty_matrix, metric_names

MATRIX_METRIC = "confusion_matrix"
"""Name under which TFMA's results hold the matrix itself, int64 [classes, classes]."""

Matrix = NDArray[np.int64]


class ConfusionMatrixMetric(tfma.metrics.Metric):
    """Every number of the confusion matrix of a slice.

    TFMA finds the thresholds of a number by the name of a metric's instance, so each number with a gate
    has an instance of its own; they share one sum and one computation of the numbers.
    """

    def __init__(self, name: str, class_names: Sequence[str], code_fingerprint: str = "") -> None:
        """Makes the metric.

        Args:
            name: the number whose thresholds the instance carries, one of
                ``trainer.confusion_matrix.metric_names(class_names)``.
            class_names: names of the classes in the order of their ids.
            code_fingerprint: of our source. It is part of the metric's JSON configuration, so that
                edited code is another evaluation to the cache.

        Raises:
            ValueError: there is no such metric.
        """
        if name not in metric_names(class_names):
            raise ValueError(f"{name} is not a metric of the classes {list(class_names)}")
        super().__init__(
            _create_computations,
            name=name,
            class_names=list(class_names),
            code_fingerprint=code_fingerprint,
        )


def _create_computations(
    name: str, class_names: list[str], code_fingerprint: str, model_names: list[str]
) -> list[Any]:
    del name, code_fingerprint  # For TFMA's thresholds, and for the cache's key.
    computations: list[Any] = []
    for model_name in model_names:
        matrix_key = tfma.metrics.MetricKey(name=MATRIX_METRIC, model_name=model_name)
        number_keys = {
            name: tfma.metrics.MetricKey(name=name, model_name=model_name)
            for name in metric_names(class_names)
        }
        computations += [
            tfma.metrics.MetricComputation(
                keys=[matrix_key],
                preprocessors=[_PickMatrixFn(model_name)],
                combiner=_SumMatricesFn(matrix_key, len(class_names)),
            ),
            tfma.metrics.DerivedMetricComputation(
                keys=list(number_keys.values()), result=_derive(class_names, matrix_key, number_keys)
            ),
        ]
    return computations


def _derive(
    class_names: list[str], matrix_key: Any, number_keys: Mapping[str, Any]
) -> Callable[[dict[Any, Any]], dict[Any, float]]:
    def result(metrics: dict[Any, Any]) -> dict[Any, float]:
        numbers = compute_metrics(metrics[matrix_key], class_names)
        return {number_keys[name]: value for name, value in numbers.items()}

    return result


class _PickMatrixFn(tfma.metrics.Preprocessor):
    """Takes an image's matrix out of TFMA's extracts, where it is by model if there are two."""

    def __init__(self, model_name: str) -> None:
        super().__init__(name=f"{MATRIX_METRIC}/{model_name}")
        self._model_name = model_name

    def process(self, extracts: dict[str, Any]) -> Iterator[Matrix]:
        predictions = extracts[tfma.PREDICTIONS_KEY]
        yield np.asarray(predictions[self._model_name] if self._model_name else predictions)


class _SumMatricesFn(beam.CombineFn):
    """Adds the images' matrices, int64 [classes, classes]."""

    def __init__(self, key: Any, num_classes: int) -> None:
        self._key = key
        self._num_classes = num_classes

    def create_accumulator(self) -> Matrix:
        return empty_matrix(self._num_classes)

    def add_input(self, accumulator: Matrix, matrix: Matrix) -> Matrix:
        if matrix.shape != accumulator.shape:
            raise ValueError(
                f"the model's evaluate signature gives a matrix of shape {matrix.shape} an image, but the "
                f"class table has {self._num_classes} classes"
            )
        accumulator += matrix
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[Matrix]) -> Matrix:
        total = empty_matrix(self._num_classes)
        for matrix in accumulators:
            total += matrix
        return total

    def extract_output(self, accumulator: Matrix) -> dict[Any, Matrix]:
        return {self._key: accumulator}
