"""Batch normalisation against numpy. Several devices are in test_distribution.py."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from trainer.batch_normalization import SynchronizedBatchNormalization


def make_inputs() -> np.ndarray:
    return np.random.default_rng(0).normal(3, 2, (4, 5, 6, 3)).astype(np.float32)


def make_layer(momentum: float = 0.9) -> SynchronizedBatchNormalization:
    layer = SynchronizedBatchNormalization(momentum)
    layer.build((None, None, None, 3))
    layer.gamma.assign([1.0, 2.0, 0.5])
    layer.beta.assign([0.0, 1.0, -1.0])
    return layer


def test_training_normalizes_with_the_batchs_moments() -> None:
    layer, inputs = make_layer(), make_inputs()
    outputs = np.asarray(layer(inputs, training=True))
    mean, variance = inputs.mean(axis=(0, 1, 2)), inputs.var(axis=(0, 1, 2))
    expected = (inputs - mean) / np.sqrt(variance + 1e-3) * [1, 2, 0.5] + [0, 1, -1]
    np.testing.assert_allclose(outputs, expected, atol=1e-5)
    pixels = 4 * 5 * 6
    np.testing.assert_allclose(np.asarray(layer.moving_mean), 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(
        np.asarray(layer.moving_variance), 0.9 + 0.1 * variance * pixels / (pixels - 1), rtol=1e-5
    )


def test_inference_normalizes_with_the_moving_moments_and_leaves_them() -> None:
    layer, inputs = make_layer(), make_inputs()
    layer.moving_mean.assign([1.0, 2.0, 3.0])
    layer.moving_variance.assign([4.0, 1.0, 9.0])
    outputs = np.asarray(layer(inputs, training=False))
    expected = (inputs - [1, 2, 3]) / np.sqrt(np.array([4, 1, 9]) + 1e-3) * [1, 2, 0.5] + [0, 1, -1]
    np.testing.assert_allclose(outputs, expected, atol=1e-5)
    assert np.asarray(layer.moving_mean).tolist() == [1, 2, 3]


def test_frozen_layer_uses_its_moving_moments_in_training_too() -> None:
    layer, inputs = make_layer(), make_inputs()
    layer.trainable = False
    np.testing.assert_array_equal(
        np.asarray(layer(inputs, training=True)), np.asarray(layer(inputs, training=False))
    )


def test_sums_over_devices_agree_with_the_fused_kernel() -> None:
    """The path that several devices take, on one device, gradients included."""

    class OneReplica:
        num_replicas_in_sync = 1

        @staticmethod
        def all_reduce(_: object, value: tf.Tensor) -> tf.Tensor:
            return value

    layer, inputs = make_layer(), tf.constant(make_inputs() + 100)
    layer.moving_mean.assign([90.0, 110.0, 103.0])
    gamma, beta = layer.gamma.value, layer.beta.value
    target = tf.constant(np.random.default_rng(1).normal(size=inputs.shape).astype(np.float32))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(inputs)
        summed, mean, variance = layer._normalize_global_batch(inputs, gamma, beta, OneReplica)
        fused, fused_mean, fused_variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, gamma, beta, epsilon=1e-3, is_training=True
        )
        losses = [tf.reduce_sum(outputs * target) for outputs in (summed, fused)]
    np.testing.assert_allclose(summed, fused, atol=1e-4)
    np.testing.assert_allclose(mean, fused_mean, rtol=1e-6)
    np.testing.assert_allclose(variance, fused_variance, rtol=1e-4)
    for source in (inputs, gamma, beta):
        ours, theirs = (tape.gradient(loss, source) for loss in losses)
        np.testing.assert_allclose(ours, theirs, atol=2e-3)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_in_and_out_float32_moments(dtype: str) -> None:
    layer = SynchronizedBatchNormalization(dtype=f"mixed_{dtype}")
    inputs = make_inputs()
    outputs = layer(inputs, training=True)
    assert outputs.dtype.name == dtype
    assert {weight.dtype for weight in layer.weights} == {"float32"}
    expected = (inputs - inputs.mean(axis=(0, 1, 2))) / inputs.std(axis=(0, 1, 2))
    np.testing.assert_allclose(tf.cast(outputs, tf.float32), expected, atol=0.05)


def test_layer_can_be_made_again_from_its_config() -> None:
    layer = SynchronizedBatchNormalization.from_config(SynchronizedBatchNormalization(0.5).get_config())
    assert layer.momentum == 0.5
