"""Cross entropy against values worked out by hand, numpy, and differences."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax

from trainer.losses.cross_entropy import sum_cross_entropy
from trainer.losses.pixels import sum_pixel_weights

VOID = 255


def test_two_pixels_worked_out_by_hand() -> None:
    # Softmax of (0, ln 3) is (1/4, 3/4).
    logits = tf.constant([[[[0.0, math.log(3.0)], [0.0, math.log(3.0)]]]])
    masks, weights = tf.constant([[[0, 1]]]), tf.constant([2.0, 1.0])
    loss = sum_cross_entropy(logits, masks, weights, VOID)
    assert float(loss) == pytest.approx(2 * math.log(4) + math.log(4 / 3), rel=1e-6)
    assert float(sum_pixel_weights(masks, weights, VOID)) == 3


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_agrees_with_scipy_and_leaves_void_out(batch, smoothing: float) -> None:
    expected, expected_weight = 0.0, 0.0
    log_probabilities = log_softmax(batch.logits, axis=-1)
    for place in zip(*np.nonzero(batch.masks != VOID), strict=True):
        true = batch.masks[place]
        target = np.eye(4)[true] * (1 - smoothing) + smoothing / 4
        expected -= batch.class_weights[true] * (target * log_probabilities[place]).sum()
        expected_weight += batch.class_weights[true]
    loss = sum_cross_entropy(batch.logits, batch.masks, batch.class_weights, VOID, smoothing)
    assert float(loss) == pytest.approx(expected, rel=1e-12)
    weight = sum_pixel_weights(batch.masks, batch.class_weights, VOID)
    assert float(weight) == pytest.approx(expected_weight, rel=1e-12)


def test_gradient_is_that_of_differences(batch, check_gradient: Callable) -> None:
    check_gradient(
        lambda logits: sum_cross_entropy(logits, batch.masks, batch.class_weights, VOID, 0.1), batch.logits
    )


def test_gradient_is_zero_on_void_and_softmax_minus_target_elsewhere() -> None:
    logits = tf.constant(np.random.default_rng(1).normal(size=(1, 1, 2, 3)).astype(np.float32))
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = sum_cross_entropy(logits, tf.constant([[[2, VOID]]]), tf.ones(3), VOID)
    gradient = tape.gradient(loss, logits).numpy()[0, 0]
    expected = np.exp(log_softmax(logits.numpy()[0, 0, 0])) - [0, 0, 1]
    np.testing.assert_allclose(gradient[0], expected, atol=1e-6)
    assert not gradient[1].any()
