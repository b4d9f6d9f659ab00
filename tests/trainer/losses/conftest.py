"""Small batches with void, and what holds a gradient against differences of the loss itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import tensorflow as tf

VOID = 255
CLASSES = 4


@dataclass(frozen=True)
class Batch:
    """float64 logits [batch, height, width, classes], uint8 masks [batch, height, width], class weights."""

    logits: np.ndarray
    masks: np.ndarray
    class_weights: np.ndarray

    @property
    def probabilities(self) -> np.ndarray:
        """The softmax of the logits."""
        powers = np.exp(self.logits - self.logits.max(axis=-1, keepdims=True))
        return powers / powers.sum(axis=-1, keepdims=True)


@pytest.fixture
def batch() -> Batch:
    """Three images of 4x3 pixels: class 3 is nowhere, class 2 not in the first, the last is all void."""
    generator = np.random.default_rng(0)
    masks = generator.integers(0, 3, (3, 4, 3)).astype(np.uint8)
    masks[0][masks[0] == 2] = 0
    masks[generator.random(masks.shape) < 0.25] = VOID
    masks[2] = VOID
    logits = generator.normal(scale=2.0, size=(*masks.shape, CLASSES))
    return Batch(logits, masks, np.array([0.5, 2.0, 1.0, 3.0]))


@pytest.fixture
def check_gradient() -> Callable[[Callable, np.ndarray], None]:
    """Holds a gradient against central differences, in float64 and for every logit."""

    def check(loss: Callable, logits: np.ndarray, step: float = 1e-6) -> None:
        compiled = tf.function(loss)
        point = tf.constant(logits, tf.float64)
        with tf.GradientTape() as tape:
            tape.watch(point)
            value = compiled(point)
        gradient = tape.gradient(value, point).numpy()
        differences = np.empty(logits.shape)
        for place in np.ndindex(logits.shape):
            values = []
            for sign in (1, -1):
                moved = logits.copy()
                moved[place] += sign * step
                values.append(float(compiled(tf.constant(moved, tf.float64))))
            differences[place] = (values[0] - values[1]) / (2 * step)
        assert np.abs(differences).max() > 1e-3
        np.testing.assert_allclose(gradient, differences, atol=1e-7)

    return check
