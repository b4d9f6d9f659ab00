"""TFMA metrics over the model's ``evaluate`` signature: sums of confusion matrices, and what they give.

The signature counts each image's pixels in its own graph, at the mask's own resolution. Beam only adds
the small matrices, so neither the number nor the sizes of the images matter to memory. Every number is
computed by ``trainer.confusion_matrix``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
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
    """One number of a confusion matrix, summed over a slice.

    A metric an instance, because TFMA finds the threshold of a metric by the instance's name. All
    instances share one sum.
    """

    def __init__(self, name: str, class_names: Sequence[str], code_fingerprint: str = "") -> None:
        """Makes the metric.

        Args:
            name: one of ``trainer.confusion_matrix.metric_names(class_names)``.
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
    del code_fingerprint  # Only there for the cache's key.
    computations: list[Any] = []
    for model_name in model_names:
        matrix_key = tfma.metrics.MetricKey(name=MATRIX_METRIC, model_name=model_name)
        number_key = tfma.metrics.MetricKey(name=name, model_name=model_name)
        computations += [
            tfma.metrics.MetricComputation(
                keys=[matrix_key],
                preprocessors=[_PickMatrixFn(model_name)],
                combiner=_SumMatricesFn(matrix_key, len(class_names)),
            ),
            tfma.metrics.DerivedMetricComputation(
                keys=[number_key], result=_derive(name, class_names, matrix_key, number_key)
            ),
        ]
    return computations


def _derive(
    name: str, class_names: list[str], matrix_key: Any, number_key: Any
) -> Callable[[dict[Any, Any]], dict[Any, float]]:
    def result(metrics: dict[Any, Any]) -> dict[Any, float]:
        return {number_key: compute_metrics(metrics[matrix_key], class_names)[name]}

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
