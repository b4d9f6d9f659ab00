"""The metrics' formula against values worked out by hand and against scikit-learn."""

from __future__ import annotations

import math
import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from trainer.confusion_matrix import (
    compute_metrics,
    confusion_matrix,
    empty_matrix,
    metric_names,
)

NAMES = ("sky", "road", "car")


def test_counts_by_truth_and_prediction() -> None:
    truth = np.array([[0, 0, 1], [1, 2, 255]], np.uint8)
    prediction = np.array([[0, 1, 1], [1, 0, 2]], np.uint8)
    matrix = confusion_matrix(truth, prediction, 3, 255)
    assert matrix.dtype == np.int64
    assert matrix.tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 0]]


def test_metrics_worked_out_by_hand() -> None:
    # truth: sky 4, road 4, car 2; correct: 3, 2, 1; predicted: sky 4, road 3, car 3.
    matrix = np.array([[3, 0, 1], [1, 2, 1], [0, 1, 1]])
    result = compute_metrics(matrix, NAMES)
    assert result["pixel_accuracy"] == pytest.approx(6 / 10)
    assert result["mean_class_accuracy"] == pytest.approx((3 / 4 + 2 / 4 + 1 / 2) / 3)
    assert result["iou/sky"] == pytest.approx(3 / 5)
    assert result["iou/road"] == pytest.approx(2 / 5)
    assert result["iou/car"] == pytest.approx(1 / 4)
    assert result["mean_iou"] == pytest.approx((3 / 5 + 2 / 5 + 1 / 4) / 3)
    assert result["frequency_weighted_iou"] == pytest.approx((4 * 3 / 5 + 4 * 2 / 5 + 2 * 1 / 4) / 10)


def test_names_come_in_the_agreed_order() -> None:
    expected = [
        "pixel_accuracy",
        "mean_class_accuracy",
        "mean_iou",
        "frequency_weighted_iou",
        "iou/sky",
        "iou/road",
        "iou/car",
    ]
    assert list(compute_metrics(np.eye(3, dtype=int), NAMES)) == expected
    assert list(metric_names(NAMES)) == expected


def test_class_absent_from_truth_and_prediction_leaves_the_means() -> None:
    result = compute_metrics(np.array([[3, 1, 0], [1, 3, 0], [0, 0, 0]]), NAMES)
    assert math.isnan(result["iou/car"])
    assert result["mean_iou"] == pytest.approx(3 / 5)
    assert result["mean_class_accuracy"] == pytest.approx(3 / 4)
    assert result["frequency_weighted_iou"] == pytest.approx(3 / 5)


def test_class_absent_from_truth_alone_has_iou_zero() -> None:
    result = compute_metrics(np.array([[3, 0, 1], [0, 4, 0], [0, 0, 0]]), NAMES)
    assert result["iou/car"] == 0
    assert result["mean_iou"] == pytest.approx((3 / 4 + 1 + 0) / 3)
    assert result["mean_class_accuracy"] == pytest.approx((3 / 4 + 1) / 2)


def test_class_never_predicted_has_iou_zero_and_accuracy_zero() -> None:
    result = compute_metrics(np.array([[2, 0, 0], [0, 2, 0], [2, 0, 0]]), NAMES)
    assert result["iou/car"] == 0
    assert result["mean_class_accuracy"] == pytest.approx(2 / 3)


def test_all_void_gives_nan_without_a_warning() -> None:
    matrix = confusion_matrix(np.full((4, 4), 255), np.zeros((4, 4), int), 3, 255)
    assert not matrix.any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = compute_metrics(matrix, NAMES)
    assert all(math.isnan(value) for value in result.values())


def test_ignore_id_need_not_be_255() -> None:
    # CamVid: 11 classes, void is 11.
    assert confusion_matrix(np.array([0, 2, 11]), np.array([0, 2, 2]), 11, 11).sum() == 2


def test_matrices_of_parts_add_up_to_the_matrix_of_the_whole() -> None:
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 4, (10, 7, 5))
    truth[truth == 3] = 255
    prediction = generator.integers(0, 3, truth.shape)
    merged = empty_matrix(3)
    for start in (0, 3, 8):
        stop = {0: 3, 3: 8, 8: 10}[start]
        merged = merged + confusion_matrix(truth[start:stop], prediction[start:stop], 3, 255)
    assert np.array_equal(merged, confusion_matrix(truth, prediction, 3, 255))


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_scikit_learn(seed: int) -> None:
    generator = np.random.default_rng(seed)
    truth, prediction = generator.integers(0, 6, (2, 31, 17))
    truth[generator.random(truth.shape) < 0.2] = 255
    kept = truth != 255
    names = [str(index) for index in range(6)]
    matrix = confusion_matrix(truth, prediction, 6, 255)
    assert np.array_equal(
        matrix, sklearn_metrics.confusion_matrix(truth[kept], prediction[kept], labels=range(6))
    )
    result = compute_metrics(matrix, names)
    expected = sklearn_metrics.jaccard_score(truth[kept], prediction[kept], average=None)
    assert [result[f"iou/{name}"] for name in names] == pytest.approx(list(expected), abs=1e-12)
    assert result["mean_iou"] == pytest.approx(
        sklearn_metrics.jaccard_score(truth[kept], prediction[kept], average="macro"), abs=1e-12
    )
    assert result["frequency_weighted_iou"] == pytest.approx(
        sklearn_metrics.jaccard_score(truth[kept], prediction[kept], average="weighted"), abs=1e-12
    )
    assert result["mean_class_accuracy"] == pytest.approx(
        sklearn_metrics.balanced_accuracy_score(truth[kept], prediction[kept]), abs=1e-12
    )
    assert result["pixel_accuracy"] == pytest.approx(
        sklearn_metrics.accuracy_score(truth[kept], prediction[kept]), abs=1e-12
    )


def test_counts_beyond_float32_stay_exact() -> None:
    matrix = np.array([[2**40 + 1, 0], [1, 2**40]], np.int64)
    assert compute_metrics(matrix, ("a", "b"))["pixel_accuracy"] == (2**41 + 1) / (2**41 + 2)


def test_ids_that_are_no_class_are_refused() -> None:
    with pytest.raises(ValueError, match="truth has ids from 0 to 3"):
        confusion_matrix(np.array([0, 3]), np.array([0, 0]), 3, 255)
    with pytest.raises(ValueError, match="prediction has ids"):
        confusion_matrix(np.array([0, 1]), np.array([0, 255]), 3, 255)
    assert confusion_matrix(np.array([0, 255]), np.array([0, 255]), 3, 255).sum() == 1


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="truth is"):
        confusion_matrix(np.zeros((2, 3), int), np.zeros((3, 2), int), 3, 255)
    with pytest.raises(ValueError, match="does not fit 3 classes"):
        compute_metrics(np.zeros((2, 2), int), NAMES)


def test_importing_it_does_not_import_tensorflow() -> None:
    code = "import sys, trainer.confusion_matrix; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
