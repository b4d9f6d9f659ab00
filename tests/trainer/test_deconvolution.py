"""The deconvolution layer against the paper's formula and independent bilinear upsampling."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

from trainer.deconvolution import BilinearKernel, Deconvolution2D, bilinear_profile, kernel_size_of

FACTORS = (2, 3, 4, 8, 16, 32)


def upsample_by_hand(image: np.ndarray, factor: int) -> np.ndarray:
    """Bilinear upsampling of [height, width] with half-pixel centres, in scipy's own coordinates."""
    rows = (np.arange(image.shape[0] * factor) + 0.5) / factor - 0.5
    columns = (np.arange(image.shape[1] * factor) + 0.5) / factor - 0.5
    grid = np.meshgrid(rows, columns, indexing="ij")
    return scipy.ndimage.map_coordinates(image, grid, order=1, mode="nearest")


def test_kernel_of_factor_two_worked_out_by_hand() -> None:
    assert kernel_size_of(2) == 4
    assert bilinear_profile(4).tolist() == [0.25, 0.75, 0.75, 0.25]
    kernel = np.asarray(BilinearKernel()((4, 4, 2, 2)))
    assert kernel[0, :, 0, 0].tolist() == [0.0625, 0.1875, 0.1875, 0.0625]
    assert kernel[1, :, 1, 1].tolist() == [0.1875, 0.5625, 0.5625, 0.1875]
    assert not kernel[:, :, 0, 1].any() and not kernel[:, :, 1, 0].any()


def test_kernel_of_factor_three_worked_out_by_hand() -> None:
    assert kernel_size_of(3) == 5
    assert bilinear_profile(5) == pytest.approx([1 / 3, 2 / 3, 1, 2 / 3, 1 / 3])


@pytest.mark.parametrize("factor", FACTORS)
def test_starts_as_bilinear_upsampling(factor: int) -> None:
    image = np.random.default_rng(factor).normal(size=(2, 5, 7, 3)).astype(np.float32)
    layer = Deconvolution2D(factor)
    upsampled = np.asarray(layer(image))
    assert upsampled.shape == (2, 5 * factor, 7 * factor, 3)
    inside = slice(factor // 2, -(factor // 2))
    for batch in range(2):
        for channel in range(3):
            expected = upsample_by_hand(image[batch, :, :, channel], factor)
            np.testing.assert_allclose(
                upsampled[batch, inside, inside, channel], expected[inside, inside], atol=2e-6
            )


@pytest.mark.parametrize("factor", FACTORS)
def test_agrees_with_tensorflows_own_resize_inside(factor: int) -> None:
    image = np.random.default_rng(factor).normal(size=(1, 6, 4, 2)).astype(np.float32)
    expected = tf.image.resize(image, (6 * factor, 4 * factor), method="bilinear").numpy()
    inside = slice(factor // 2, -(factor // 2))
    upsampled = np.asarray(Deconvolution2D(factor)(image))
    np.testing.assert_allclose(upsampled[:, inside, inside], expected[:, inside, inside], atol=2e-6)


def test_factor_one_changes_nothing() -> None:
    image = np.random.default_rng(0).normal(size=(1, 3, 4, 2)).astype(np.float32)
    np.testing.assert_array_equal(np.asarray(Deconvolution2D(1)(image)), image)


def test_kernel_is_learned_or_frozen() -> None:
    image = tf.ones((1, 2, 2, 2))
    learned, frozen = Deconvolution2D(2), Deconvolution2D(2, trainable=False)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(learned(image) ** 2) + tf.reduce_sum(frozen(image) ** 2)
    assert len(learned.trainable_variables) == 1 and frozen.trainable_variables == []
    gradient = tape.gradient(loss, learned.trainable_variables)[0]
    assert gradient.shape == (4, 4, 2, 2)
    # Channels can learn to mix: the gradient off the diagonal is not 0.
    assert np.abs(gradient.numpy()[:, :, 0, 1]).min() > 0


def test_gradient_is_that_of_the_finite_difference() -> None:
    generator = np.random.default_rng(1)
    image = tf.constant(generator.normal(size=(1, 3, 3, 2)).astype(np.float32))
    target = tf.constant(generator.normal(size=(1, 9, 9, 2)).astype(np.float32))
    layer = Deconvolution2D(3)
    layer(image)

    def loss() -> tf.Tensor:
        return tf.reduce_sum(layer(image) * target)

    with tf.GradientTape() as tape:
        value = loss()
    gradient = tape.gradient(value, layer.trainable_variables)[0].numpy()
    weights = layer.get_weights()[0]
    for index in ((0, 0, 0, 0), (2, 3, 1, 0), (4, 1, 0, 1)):
        shifted = weights.copy()
        shifted[index] += 1.0
        layer.set_weights([shifted])
        # The loss is linear in the kernel, so a whole unit is a fair step.
        assert float(loss() - value) == pytest.approx(gradient[index], rel=1e-3, abs=1e-4)
        layer.set_weights([weights])


def test_unknown_sizes_run_at_any_size() -> None:
    inputs = keras.Input((None, None, 4))
    outputs = Deconvolution2D(8)(inputs)
    assert outputs.shape == (None, None, None, 4)
    model = keras.Model(inputs, outputs)
    assert model(np.zeros((1, 3, 5, 4), np.float32)).shape == (1, 24, 40, 4)


def test_kernel_that_cannot_be_bilinear_is_refused() -> None:
    with pytest.raises(ValueError, match="square in space and in channels"):
        BilinearKernel()((4, 4, 2, 3))
    with pytest.raises(ValueError, match="factor must be at least 1"):
        Deconvolution2D(0)


def test_layer_can_be_made_again_from_its_config() -> None:
    layer = Deconvolution2D.from_config(Deconvolution2D(16, trainable=False, name="up").get_config())
    assert (layer.factor, layer.trainable, layer.name) == (16, False, "up")
