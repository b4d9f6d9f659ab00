"""What holds for every loss, and for their sum."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from trainer.config import TrainerConfig
from trainer.losses.weighted_sum import make_loss_terms, sum_losses, weigh_batch

VOID = 255
LOSSES: list[dict[str, Any]] = [
    {"name": "cross_entropy"},
    {"name": "focal", "gamma": 0.5},
    {"name": "hard_pixels", "share": 0.2},
    {"name": "hard_pixels", "share": 0.2, "min_probability": None},
    {"name": "dice"},
    {"name": "dice", "per_image": True, "squared": True},
    {"name": "dice", "generalized": True},
    {"name": "lovasz_softmax"},
]


def differentiate(losses: list[dict], logits: Any, masks: Any, class_weights: Any) -> tuple[float, Any]:
    """Returns the loss of a batch and its gradient."""
    config = TrainerConfig.model_validate({"losses": losses})
    terms = make_loss_terms(config, tf.constant(class_weights, tf.float32), VOID)
    logits = tf.constant(logits, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = sum_losses(terms, logits, masks, weigh_batch(terms, masks))
    return float(loss), tape.gradient(loss, logits).numpy()


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_void_pixels_change_nothing(batch, loss: dict) -> None:
    value, gradient = differentiate([loss], batch.logits, batch.masks, batch.class_weights)
    is_void = batch.masks == VOID
    changed = batch.logits.copy()
    changed[is_void] = np.random.default_rng(1).normal(scale=9, size=changed[is_void].shape)
    other_value, other_gradient = differentiate([loss], changed, batch.masks, batch.class_weights)
    assert value > 0.05
    assert other_value == pytest.approx(value, rel=1e-6)
    np.testing.assert_allclose(other_gradient, gradient, atol=1e-7)
    assert not gradient[is_void].any()
    assert np.abs(gradient[~is_void]).max() > 1e-3


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_without_a_labelled_pixel_there_is_neither_loss_nor_gradient(batch, loss: dict) -> None:
    masks = np.full(batch.masks.shape, VOID, np.uint8)
    value, gradient = differentiate([loss], batch.logits, masks, batch.class_weights)
    assert value == 0
    assert not gradient.any()


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_right_and_certain_predictions_have_next_to_no_loss(batch, loss: dict) -> None:
    logits = 30.0 * np.eye(5)[np.where(batch.masks == VOID, 4, batch.masks)][..., :4]
    value, gradient = differentiate([loss], logits, batch.masks, batch.class_weights)
    assert value == pytest.approx(0, abs=1e-6)
    assert np.isfinite(gradient).all() and np.abs(gradient).max() < 1e-6


def test_sum_is_weighted(batch) -> None:
    arguments = batch.logits, batch.masks, batch.class_weights
    parts = [{"name": "cross_entropy"}, {"name": "dice"}, {"name": "lovasz_softmax"}]
    weights = [1.0, 0.5, 3.0]
    alone = [differentiate([part], *arguments) for part in parts]
    value, gradient = differentiate(
        [{**part, "weight": weight} for part, weight in zip(parts, weights, strict=True)], *arguments
    )
    assert value == pytest.approx(sum(w * v for w, (v, _) in zip(weights, alone, strict=True)), rel=1e-6)
    expected = sum(weight * part for weight, (_, part) in zip(weights, alone, strict=True))
    np.testing.assert_allclose(gradient, expected, atol=1e-6)


def test_parts_of_a_batch_add_up_to_its_loss(batch) -> None:
    """What is divided by is that of the whole; but for Dice over the batch, which is another in each part."""
    losses = [
        {"name": "cross_entropy"},
        {"name": "focal"},
        {"name": "hard_pixels"},
        {"name": "dice", "per_image": True},
        {"name": "lovasz_softmax"},
    ]
    terms = make_loss_terms(
        TrainerConfig.model_validate({"losses": losses}), tf.constant(batch.class_weights, tf.float32), VOID
    )
    logits, totals = tf.constant(batch.logits, tf.float32), weigh_batch(terms, batch.masks)
    whole = float(sum_losses(terms, logits, batch.masks, totals))
    parts = [sum_losses(terms, logits[i::2], batch.masks[i::2], totals) for i in range(2)]
    assert sum(float(part) for part in parts) == pytest.approx(whole, rel=1e-6)
