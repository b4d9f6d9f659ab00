"""Cross entropy and class weights against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from trainer.losses import compute_class_weights, sum_cross_entropy

VOID = 255


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def test_two_pixels_worked_out_by_hand() -> None:
    # Softmax of (0, ln 3) is (1/4, 3/4).
    logits = tf.constant([[[[0.0, math.log(3.0)], [0.0, math.log(3.0)]]]])
    loss, weight = sum_cross_entropy(logits, tf.constant([[[0, 1]]]), tf.constant([2.0, 1.0]), VOID)
    assert float(loss) == pytest.approx(2 * math.log(4) + math.log(4 / 3), rel=1e-6)
    assert float(weight) == 3


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_agrees_with_numpy_and_leaves_void_out(smoothing: float) -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(2, 5, 4, 3)).astype(np.float32)
    masks = generator.integers(0, 3, (2, 5, 4)).astype(np.uint8)
    masks[generator.random(masks.shape) < 0.3] = VOID
    weights = np.array([0.5, 2.0, 1.0], np.float32)
    expected, expected_weight = 0.0, 0.0
    log_probabilities = log_softmax(logits.astype(np.float64))
    for place in np.ndindex(masks.shape):
        if masks[place] == VOID:
            continue
        target = np.eye(3)[masks[place]] * (1 - smoothing) + smoothing / 3
        expected -= weights[masks[place]] * (target * log_probabilities[place]).sum()
        expected_weight += weights[masks[place]]
    loss, weight = sum_cross_entropy(
        tf.constant(logits), tf.constant(masks), tf.constant(weights), VOID, smoothing
    )
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    assert float(weight) == pytest.approx(expected_weight, rel=1e-6)


def test_gradient_is_zero_on_void_and_softmax_minus_target_elsewhere() -> None:
    logits = tf.constant(np.random.default_rng(1).normal(size=(1, 1, 2, 3)).astype(np.float32))
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss, _ = sum_cross_entropy(logits, tf.constant([[[2, VOID]]]), tf.ones(3), VOID)
    gradient = tape.gradient(loss, logits).numpy()[0, 0]
    expected = np.exp(log_softmax(logits.numpy()[0, 0, 0])) - [0, 0, 1]
    np.testing.assert_allclose(gradient[0], expected, atol=1e-6)
    assert not gradient[1].any()


def test_all_void_gives_zero_and_no_nan() -> None:
    logits = tf.random.normal((1, 2, 2, 3))
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss, weight = sum_cross_entropy(logits, tf.fill((1, 2, 2), VOID), tf.ones(3), VOID, 0.1)
    assert (float(loss), float(weight)) == (0, 0)
    assert not tape.gradient(loss, logits).numpy().any()


def test_median_frequency_worked_out_by_hand() -> None:
    # Frequencies 600/1000, 100/1000, 40/400 -> 0.6, 0.1, 0.1; class 3 never occurs.
    weights = compute_class_weights(
        "median_frequency", np.array([600, 100, 40, 0]), np.array([1000, 1000, 400, 0])
    )
    assert weights == pytest.approx([0.1 / 0.6, 1, 1, 1])


def test_inverse_sqrt_worked_out_by_hand() -> None:
    # Shares 0.64 and 0.36: 1/0.8 and 1/0.6, scaled so that 0.64 a + 0.36 b = 1.
    weights = compute_class_weights("inverse_sqrt", np.array([64, 36, 0]), np.array([100, 100, 0]))
    assert weights == pytest.approx([1 / 0.8 / 1.4, 1 / 0.6 / 1.4, 1])
    assert 0.64 * weights[0] + 0.36 * weights[1] == pytest.approx(1)


def test_no_weighting_and_no_pixels_give_ones() -> None:
    assert compute_class_weights("none", np.array([5, 1]), np.array([6, 6])).tolist() == [1, 1]
    assert compute_class_weights("median_frequency", np.zeros(2), np.zeros(2)).tolist() == [1, 1]


def test_unknown_weighting_is_refused() -> None:
    with pytest.raises(ValueError, match="no such class weighting: sqrt"):
        compute_class_weights("sqrt", np.ones(2), np.ones(2))  # type: ignore[arg-type]
