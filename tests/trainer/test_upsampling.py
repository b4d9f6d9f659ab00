"""Three ways to upsample: how each starts, and what it makes of an even surface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.deconvolution import Deconvolution2D
from trainer.upsampling import UPSAMPLING, RepeatedKernel, ResizeConvolution2D, SubPixelConvolution2D

FACTORS = (2, 4, 8)
RANDOM = keras.initializers.RandomNormal(0.0, 0.3, seed=1)


def stripe_energy(layer: Any, factor: int) -> float:
    """Returns the share of the energy that an even surface's response has at the frequencies of the stride.

    Read off numpy's discrete Fourier transform of the inside, whose sides are multiples of the factor:
    whatever repeats with each cell lies at multiples of 1 / factor.
    """
    even = np.ones((1, 12, 12, 3), np.float32)
    inside = np.asarray(layer(even), np.float64)[0, 4 * factor : -4 * factor, 4 * factor : -4 * factor]
    energy = np.abs(np.fft.fft2(inside, axes=(0, 1))) ** 2
    step = inside.shape[0] // factor
    at_stride = energy[::step, ::step].sum() - energy[0, 0].sum()
    assert energy[0, 0].sum() > 1e-6, "nothing came through"
    return float(at_stride / energy.sum())


@pytest.mark.parametrize("factor", FACTORS)
def test_random_deconvolution_and_random_sub_pixels_make_a_checkerboard(factor: int) -> None:
    assert stripe_energy(Deconvolution2D(factor, kernel_initializer=RANDOM), factor) > 0.05
    assert stripe_energy(SubPixelConvolution2D(factor, kernel_initializer=RANDOM), factor) > 0.05


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize(
    "make",
    [
        Deconvolution2D,
        lambda factor: ResizeConvolution2D(factor, kernel_initializer=RANDOM),
        lambda factor: SubPixelConvolution2D(factor, kernel_initializer=RepeatedKernel(factor, RANDOM)),
    ],
    ids=["bilinear deconvolution", "resizing", "ICNR"],
)
def test_our_starts_make_none(make: Callable[[int], Any], factor: int) -> None:
    assert stripe_energy(make(factor), factor) < 1e-10


@pytest.mark.parametrize("factor", (2, 3))
def test_resize_convolution_starts_as_bilinear_resizing(factor: int) -> None:
    image = np.random.default_rng(0).normal(size=(2, 5, 4, 3)).astype(np.float32)
    expected = tf.image.resize(image, (5 * factor, 4 * factor), method="bilinear")
    np.testing.assert_allclose(np.asarray(ResizeConvolution2D(factor)(image)), expected, atol=1e-6)


@pytest.mark.parametrize("factor", (1, 2, 3))
def test_sub_pixels_start_as_repetition(factor: int) -> None:
    image = np.random.default_rng(0).normal(size=(2, 5, 4, 3)).astype(np.float32)
    expected = image.repeat(factor, axis=1).repeat(factor, axis=2)
    np.testing.assert_array_equal(np.asarray(SubPixelConvolution2D(factor)(image)), expected)


def test_repeated_kernel_is_one_convolution_for_all_pixels_of_a_cell() -> None:
    """As Aitken et al. have it: the response of the small kernel, each value twice along each axis."""
    layer = SubPixelConvolution2D(2, kernel_initializer=RepeatedKernel(2, RANDOM))
    image = np.random.default_rng(0).normal(size=(1, 5, 4, 3)).astype(np.float32)
    outputs = np.asarray(layer(image))
    kernel = layer.get_weights()[0]
    assert kernel.shape == (3, 3, 3, 12)
    small = np.asarray(tf.nn.conv2d(image, kernel[..., :3], 1, "SAME"))
    np.testing.assert_allclose(outputs, small.repeat(2, axis=1).repeat(2, axis=2), atol=1e-5)


def test_pixels_of_a_cell_come_from_channels_in_rows() -> None:
    """One channel, factor 2: four kernels, worked out by hand."""
    layer = SubPixelConvolution2D(2)
    layer.build((None, None, None, 1))
    kernel = np.zeros((3, 3, 1, 4), np.float32)
    kernel[1, 1, 0] = [1, 2, 3, 4]
    layer.set_weights([kernel])
    outputs = np.asarray(layer(np.array([[[[1.0], [10.0]]]], np.float32)))[0, :, :, 0]
    assert outputs.tolist() == [[1, 2, 10, 20], [3, 4, 30, 40]]


@pytest.mark.parametrize("name", list(UPSAMPLING))
def test_layers_run_at_any_size_learn_or_are_frozen_and_can_be_made_again(name: str) -> None:
    layer = UPSAMPLING[name](4, trainable=False, name="up", dtype="mixed_bfloat16")
    inputs = keras.Input((None, None, 2))
    model = keras.Model(inputs, layer(inputs))
    assert model.output.shape == (None, None, None, 2)
    outputs = model(np.ones((1, 3, 5, 2), np.float32))
    assert outputs.shape == (1, 12, 20, 2) and outputs.dtype == tf.bfloat16
    assert model.trainable_weights == [] and [w.dtype for w in model.weights] == ["float32"]
    again = type(layer).from_config(layer.get_config())
    again.build((None, None, None, 2))
    assert (again.factor, again.trainable, again.name) == (4, False, "up")
    np.testing.assert_array_equal(again.get_weights()[0], layer.get_weights()[0])
