"""Counting in the graph against counting with numpy."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from trainer import count_pixels as module
from trainer.confusion_matrix import confusion_matrix
from trainer.count_pixels import count_image, count_pixels


@pytest.mark.parametrize(("classes", "ignore_id"), [(3, 255), (11, 11), (2, 200)])
def test_every_example_is_counted_as_numpy_does(classes: int, ignore_id: int) -> None:
    rng = np.random.default_rng(classes)
    truth = rng.integers(0, classes, (4, 9, 7)).astype(np.uint8)
    prediction = rng.integers(0, classes, truth.shape).astype(np.uint8)
    truth[rng.random(truth.shape) < 0.3] = ignore_id
    truth[2] = ignore_id
    counted = count_pixels(truth, prediction, classes, ignore_id)
    assert counted.dtype == tf.int64
    for index in range(4):
        expected = confusion_matrix(truth[index], prediction[index], classes, ignore_id)
        np.testing.assert_array_equal(counted[index], expected)
    assert not counted[2].numpy().any()


def test_compiled_with_unknown_shapes() -> None:
    function = tf.function(
        lambda truth, prediction: count_pixels(truth, prediction, 2, 255),
        input_signature=[tf.TensorSpec([None, None, None], tf.uint8)] * 2,
    )
    counted = function(np.array([[[0, 1, 255]]], np.uint8), np.array([[[1, 1, 0]]], np.uint8))
    assert counted.numpy().tolist() == [[[0, 1], [0, 1]]]


@pytest.mark.parametrize("strip", [1 << 20, 63, 16, 1])
def test_an_image_is_counted_in_strips_as_numpy_does(monkeypatch: pytest.MonkeyPatch, strip: int) -> None:
    monkeypatch.setattr(module, "_STRIP_PIXELS", strip)
    rng = np.random.default_rng(strip)
    truth = rng.integers(0, 3, (9, 7)).astype(np.uint8)
    prediction = rng.integers(0, 3, truth.shape).astype(np.uint8)
    truth[rng.random(truth.shape) < 0.3] = 255
    compiled = tf.function(
        lambda truth, prediction: count_image(truth, prediction, 3, 255),
        input_signature=[tf.TensorSpec([None, None], tf.uint8)] * 2,
    )
    counted = compiled(truth, prediction)
    assert counted.dtype == tf.int64
    np.testing.assert_array_equal(counted, confusion_matrix(truth, prediction, 3, 255))
    with pytest.raises(tf.errors.InvalidArgumentError):
        compiled(truth, prediction.T)
