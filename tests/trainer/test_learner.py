"""Steps whose batch goes through the network in parts, against steps with the whole batch."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from data.read_transformed import DatasetStatistics
from trainer import learner as learner_module
from trainer.config import TrainerConfig
from trainer.distribution import make_strategy
from trainer.learner import make_learner, make_train_function
from trainer.precision import PrecisionChoice

CLASSES, VOID, STEPS, BATCH = 3, 255, 4, 6
LINEAR = [
    {"name": "cross_entropy"},
    {"name": "focal"},
    {"name": "hard_pixels", "min_probability": None},
    {"name": "dice", "per_image": True},
    {"name": "lovasz_softmax"},
]


def build_tiny_model(_: Any, num_classes: int, *__: Any) -> keras.Model:
    """Builds a network in which no image sees another: no batch normalisation."""
    images = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 255)(images)
    x = keras.layers.Conv2D(4, 3, padding="same", activation="tanh")(x)
    return keras.Model(images, keras.layers.Conv2D(num_classes, 1)(x))


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learner_module, "build_model", build_tiny_model)


def train_in_parts(parts: int, precision: str = "float32", **settings: Any) -> list[np.ndarray]:
    """Returns losses and weights after a few steps with batches of six."""
    config = TrainerConfig(
        batch_size=BATCH // parts,
        accumulate_steps=parts,
        devices=1,
        learning_rate=0.01,
        warmup_share=0.0,
        **settings,
    )
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (STEPS * BATCH, 8, 8, 3)).astype(np.float32)
    masks = rng.integers(0, CLASSES, (STEPS * BATCH, 8, 8)).astype(np.uint8)
    # Parts have unequal shares of the labelled pixels, and one has none.
    masks[0, :5] = VOID
    masks[1::2][: BATCH // 2] = VOID
    ones = np.ones(CLASSES, np.float32)
    statistics = DatasetStatistics(ones, ones, np.array([5.0, 3.0, 2.0], np.float32), 10 * ones, len(images))
    choice = PrecisionChoice(precision, "test")
    learner = make_learner(config, CLASSES, statistics, make_strategy(1), choice)
    batches = tf.data.Dataset.from_tensor_slices({"image": images, "mask": masks}).batch(BATCH, True)
    function = make_train_function(learner, config, statistics, VOID, 2 * STEPS)
    losses = function(iter(batches), tf.constant(STEPS)).numpy()
    assert learner.step.numpy() == learner.optimizer.step.numpy() == STEPS
    return [losses, *(weight.numpy() for weight in learner.weights())]


@pytest.mark.slow
def test_parts_of_a_batch_train_as_the_whole(tiny: None) -> None:
    settings = {"losses": LINEAR, "class_weighting": "inverse"}
    whole = train_in_parts(1, **settings)
    assert len(set(whole[0])) == STEPS
    for value, expected in zip(train_in_parts(2, **settings), whole, strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-5)


@pytest.mark.slow
def test_averages_and_scaled_losses_are_of_whole_steps(tiny: None) -> None:
    """Momentum, clipping, averages and the scale of float16 act once a step, on the sum of the parts."""
    settings = {"optimizer": "sgd", "gradient_clip_norm": 0.05, "ema_momentum": 0.5, "weight_decay": 0.1}
    whole = train_in_parts(1, "mixed_float16", **settings)
    for value, expected in zip(train_in_parts(3, "mixed_float16", **settings), whole, strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-5)


def test_dice_over_the_batch_is_the_mean_over_its_parts(tiny: None) -> None:
    first_of_whole, first_of_parts = (train_in_parts(n, losses=[{"name": "dice"}])[0][0] for n in (1, 2))
    # The second part of the first batch is void and counts 0.
    assert first_of_parts == pytest.approx(first_of_whole / 2, rel=1e-5)
