"""The optimizers against Keras' own, worked-out values, and the learning rate's curve."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.build_model import build_model
from trainer.config import ModelConfig, TrainerConfig
from trainer.optimization import (
    AdamW,
    LossScale,
    MomentumSGD,
    Optimizer,
    WeightAverage,
    are_finite,
    make_optimizer,
)
from trainer.schedule import learning_rate_at


def run_both(ours: type[Optimizer], theirs: keras.optimizers.Optimizer, decay: float) -> None:
    generator = np.random.default_rng(0)
    start = [generator.normal(size=shape).astype(np.float32) for shape in ((3, 2), (4,))]
    variables = [tf.Variable(value) for value in start]
    reference = [keras.Variable(value) for value in start]
    optimizer = ours(variables, [True, True], weight_decay=decay)
    theirs.build(reference)
    for _ in range(5):
        gradients = [tf.constant(generator.normal(size=v.shape).astype(np.float32)) for v in start]
        optimizer.apply(gradients, tf.constant(0.01))
        theirs.apply(gradients, reference)
    for variable, expected in zip(variables, reference, strict=True):
        np.testing.assert_allclose(variable.numpy(), np.asarray(expected.value), atol=2e-6)


def test_adamw_agrees_with_keras() -> None:
    run_both(AdamW, keras.optimizers.AdamW(0.01, weight_decay=0.1), 0.1)


def test_momentum_agrees_with_keras() -> None:
    run_both(MomentumSGD, keras.optimizers.SGD(0.01, momentum=0.9, weight_decay=0.1), 0.1)


def test_gradients_are_clipped_by_their_global_norm() -> None:
    variables = [tf.Variable([0.0]), tf.Variable([0.0, 0.0])]
    optimizer = MomentumSGD(variables, [False, False], clip_norm=1.0)
    # The norm of (3, 0, 4) is 5.
    optimizer.apply([tf.constant([3.0]), tf.constant([0.0, 4.0])], tf.constant(1.0))
    assert variables[0].numpy() == pytest.approx([-0.6])
    assert variables[1].numpy() == pytest.approx([0, -0.8])


def test_decay_spares_biases_normalization_and_deconvolutions() -> None:
    model = build_model(ModelConfig(width=4, head="fcn16s"), 3, [0] * 3, [1] * 3)
    before = [weight.numpy() for weight in model.trainable_variables]
    optimizer = make_optimizer(model, TrainerConfig(weight_decay=0.5))
    zeros = [tf.zeros(weight.shape) for weight in model.trainable_variables]
    optimizer.apply(zeros, tf.constant(0.1))
    decayed, spared = set(), set()
    for weight, value in zip(model.trainable_variables, before, strict=True):
        changed = not np.array_equal(weight.numpy(), value)
        if changed:
            np.testing.assert_allclose(weight.numpy(), value * 0.95, rtol=1e-6)
        layer = weight.path.split("/")[0]
        # Zeros (the skip's score kernel) cannot be told apart here.
        if value.any():
            (decayed if changed else spared).add((layer, weight.name))
    assert ("stride8_reduce_conv", "kernel") in decayed
    assert ("score_stride32", "kernel") in decayed
    assert {name for _, name in decayed} == {"kernel"}
    assert ("upsample_to_stride16", "kernel") in spared
    assert ("stem_norm", "gamma") in spared
    assert {layer for layer, name in spared if name == "kernel"} == {
        "upsample_to_stride16",
        "upsample_to_image",
    }


def rates_at(shares: tuple[float, ...], **settings: Any) -> list[float]:
    config = TrainerConfig(learning_rate=0.2, **settings)
    return [float(learning_rate_at(share, config)) for share in shares]


def test_learning_rate_rises_then_falls_by_half_a_cosine() -> None:
    rates = rates_at((0, 0.05, 0.1, 0.55, 1, 1.5), warmup_share=0.1)
    assert rates == pytest.approx([0, 0.1, 0.2, 0.1, 0, 0], abs=1e-7)


def test_learning_rate_without_warmup_starts_at_the_peak() -> None:
    expected = [0.2, 0.1 * (1 + math.cos(math.pi / 4))]
    assert rates_at((0, 0.25), warmup_share=0.0) == pytest.approx(expected)


def test_learning_rate_falls_by_a_power_of_what_is_left() -> None:
    settings = {"schedule": "polynomial", "polynomial_power": 2.0}
    rates = rates_at((0, 0.1, 0.2, 0.6, 1, 1.5), warmup_share=0.2, **settings)
    assert rates == pytest.approx([0, 0.1, 0.2, 0.05, 0, 0], abs=1e-7)
    assert rates_at((0, 0.5), warmup_share=0.0, schedule="polynomial") == pytest.approx([0.2, 0.2 * 0.5**0.9])


def test_loss_scale_halves_on_overflow_and_doubles_after_calm() -> None:
    scale = LossScale(initial=8.0, growth_steps=2)
    assert [float(g) for g in scale.unscale([tf.constant(4.0)])] == [0.5]
    scales = []
    for finite in (False, True, True, True, False):
        scale.update(tf.constant(finite))
        scales.append(float(scale.scale))
    assert scales == [4, 4, 8, 8, 4]


def test_finite_gradients_are_told_from_others() -> None:
    assert bool(are_finite([tf.ones(2), tf.zeros(1)]))
    assert not bool(are_finite([tf.ones(2), tf.constant([1.0, math.inf])]))
    assert not bool(are_finite([tf.constant(math.nan)]))


def test_weight_average_worked_out_by_hand() -> None:
    weight, count = tf.Variable([0.0]), tf.Variable([3])
    average = WeightAverage([weight, count], momentum=0.5)
    assert len(average.averages) == 1
    weight.assign([11.0])
    # After one step (1 + 1) / (10 + 1) is kept, which is less than the momentum.
    average.update(tf.constant(1))
    assert average.averages[0].numpy() == pytest.approx([9.0])
    # Far into the training the momentum holds.
    average.update(tf.constant(1000))
    assert average.averages[0].numpy() == pytest.approx([10.0])
    average.swap()
    assert (weight.numpy(), average.averages[0].numpy()) == (pytest.approx([10.0]), pytest.approx([11.0]))
    average.swap()
    assert (weight.numpy(), average.averages[0].numpy()) == (pytest.approx([11.0]), pytest.approx([10.0]))
