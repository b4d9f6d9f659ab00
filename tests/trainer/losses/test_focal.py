"""Focal loss against the paper's formula in numpy, and against differences."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from trainer.losses.cross_entropy import sum_cross_entropy
from trainer.losses.focal import sum_focal

VOID = 255


def test_one_pixel_worked_out_by_hand() -> None:
    # Softmax of (0, ln 3) is (1/4, 3/4): (3/4)^2 * ln 4 if the first class is true.
    logits = tf.constant([[[[0.0, math.log(3.0)]]]])
    loss = sum_focal(logits, tf.constant([[[0]]]), tf.ones(2), VOID, 2.0)
    assert float(loss) == pytest.approx(0.5625 * math.log(4), rel=1e-6)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_agrees_with_the_formula_and_leaves_void_out(batch, gamma: float) -> None:
    expected = 0.0
    for place in zip(*np.nonzero(batch.masks != VOID), strict=True):
        true = batch.masks[place]
        probability = batch.probabilities[place][true]
        expected += batch.class_weights[true] * (1 - probability) ** gamma * -np.log(probability)
    loss = sum_focal(batch.logits, batch.masks, batch.class_weights, VOID, gamma)
    assert float(loss) == pytest.approx(expected, rel=1e-12)


def test_without_focus_it_is_cross_entropy(batch) -> None:
    arguments = (batch.logits, batch.masks, batch.class_weights, VOID)
    assert float(sum_focal(*arguments, 0.0)) == pytest.approx(float(sum_cross_entropy(*arguments)), rel=1e-12)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_gradient_is_that_of_differences(batch, check_gradient: Callable, gamma: float) -> None:
    check_gradient(
        lambda logits: sum_focal(logits, batch.masks, batch.class_weights, VOID, gamma), batch.logits
    )


@pytest.mark.parametrize("gamma", [0.1, 1.0, 2.0])
def test_pixel_that_is_certain_has_no_gradient(gamma: float) -> None:
    """Its probability rounds to 1, where a power below 1 has no derivative."""
    logits = tf.constant([[[[100.0, 0.0]]]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = sum_focal(logits, tf.constant([[[0]]]), tf.ones(2), VOID, gamma)
    assert float(loss) == 0
    assert tape.gradient(loss, logits).numpy().ravel() == pytest.approx([0, 0], abs=1e-6)
