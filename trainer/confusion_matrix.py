"""The only formula of every metric: one int64 confusion matrix over a whole split.

Rows are the truth, columns the prediction, void pixels are in neither. Matrices of parts (pixels,
images, shards) add up to the matrix of the whole, so nothing is ever a mean of means.

Source: Long, Shelhamer, Darrell, "Fully Convolutional Networks for Semantic Segmentation",
CVPR 2015, section 5. With n_ij the pixels of class i predicted as j and t_i = sum_j n_ij:
pixel accuracy sum_i n_ii / sum_i t_i, mean accuracy mean_i n_ii / t_i,
IoU_i = n_ii / (t_i + sum_j n_ji - n_ii), frequency weighted IoU sum_i t_i IoU_i / sum_i t_i.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.int64]

SUMMARY_METRICS = ("pixel_accuracy", "mean_class_accuracy", "mean_iou", "frequency_weighted_iou")
"""Names of the metrics of all classes together, in the order in which they are shown."""

_CLASS_IOU_PREFIX = "iou/"


def class_iou_key(class_name: str) -> str:
    """Returns the name of one class' IoU among the metrics (``iou/road``)."""
    return _CLASS_IOU_PREFIX + class_name


def metric_names(class_names: Sequence[str]) -> tuple[str, ...]:
    """Returns the name of every metric, in the order of ``compute_metrics``."""
    return (*SUMMARY_METRICS, *(class_iou_key(name) for name in class_names))


def empty_matrix(num_classes: int) -> Matrix:
    """Returns the matrix of no pixels at all, int64 [classes, classes]: the neutral element of +."""
    return np.zeros((num_classes, num_classes), np.int64)


def confusion_matrix(
    truth: NDArray[np.integer], prediction: NDArray[np.integer], num_classes: int, ignore_id: int
) -> Matrix:
    """Counts pixels by true and predicted class.

    Args:
        truth: class ids, any integer dtype and any shape; ``ignore_id`` is void.
        prediction: class ids of the same shape. What it says where the truth is void is not looked at.
        num_classes: ids run from 0 to ``num_classes - 1``.
        ignore_id: the id of void pixels, which are dropped.

    Returns:
        int64 [classes, classes]: rows truth, columns prediction. Add matrices to merge them.

    Raises:
        ValueError: the shapes differ, or a pixel that is not void has an id that is no class.
    """
    truth, prediction = np.asarray(truth), np.asarray(prediction)
    if truth.shape != prediction.shape:
        raise ValueError(f"truth is {truth.shape}, prediction is {prediction.shape}")
    labelled = truth != ignore_id
    rows = truth[labelled].astype(np.int64)
    columns = prediction[labelled].astype(np.int64)
    for name, ids in (("truth", rows), ("prediction", columns)):
        if ids.size and (ids.min() < 0 or ids.max() >= num_classes):
            raise ValueError(f"{name} has ids from {ids.min()} to {ids.max()}, not 0 to {num_classes - 1}")
    counts = np.bincount(rows * num_classes + columns, minlength=num_classes * num_classes)
    return counts.astype(np.int64).reshape(num_classes, num_classes)


def compute_metrics(matrix: NDArray[np.integer], class_names: Sequence[str]) -> dict[str, float]:
    """Computes every metric from a confusion matrix.

    A class that is absent from truth and prediction has no IoU (nan) and leaves the mean; one that is
    absent from the truth alone has IoU 0, and no class accuracy. Without a labelled pixel all are nan.

    Args:
        matrix: integer [classes, classes], rows truth, columns prediction.
        class_names: one name a class, in the order of the ids.

    Returns:
        ``pixel_accuracy``, ``mean_class_accuracy``, ``mean_iou``, ``frequency_weighted_iou`` and then
        ``iou/<class>`` for each class: Python floats from 0 to 1, or nan.

    Raises:
        ValueError: the matrix is not square with one row a class, or holds a negative count.
    """
    counts = np.asarray(matrix).astype(np.int64)
    if counts.shape != (len(class_names), len(class_names)):
        raise ValueError(f"a matrix of shape {counts.shape} does not fit {len(class_names)} classes")
    if (counts < 0).any():
        raise ValueError("a confusion matrix holds counts; one is negative")
    correct = np.diagonal(counts)
    true_pixels, predicted_pixels = counts.sum(axis=1), counts.sum(axis=0)
    iou = _divide(correct, true_pixels + predicted_pixels - correct)
    total = int(true_pixels.sum())
    occurring = true_pixels > 0
    weighted = float((true_pixels[occurring] * iou[occurring]).sum()) / total if total else float("nan")
    values = (
        float(correct.sum()) / total if total else float("nan"),
        _mean_of_defined(_divide(correct, true_pixels)),
        _mean_of_defined(iou),
        weighted,
        *(float(value) for value in iou),
    )
    return dict(zip(metric_names(class_names), values, strict=True))


def _divide(numerator: Matrix, denominator: Matrix) -> NDArray[np.float64]:
    """Divides, with nan where the denominator is 0."""
    result = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result


def _mean_of_defined(values: NDArray[np.float64]) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")
