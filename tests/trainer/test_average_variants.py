"""Flips and scales against numpy and Pillow, for scores that are neither symmetric nor constant."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image

from trainer.average_variants import average_variants, make_settings
from trainer.inference_config import InferenceConfig

Pixels = NDArray[np.float32]
SIZES = ((6, 9), (7, 5), (1, 4))


def draw(height: int, width: int) -> Pixels:
    return np.random.default_rng(height).uniform(0, 4, (height, width, 3)).astype(np.float32)


def look_left(images: Pixels) -> Pixels:
    """Logits that know left from right and top from bottom: red here, green on the left, the row."""
    left = np.pad(images[..., 1], ((0, 0), (0, 0), (1, 0)))[:, :, :-1]
    row = np.broadcast_to(np.arange(images.shape[1], dtype=np.float32)[:, None], images.shape[1:3])
    return np.stack([images[..., 0], left, np.broadcast_to(row, left.shape)], axis=-1)


def softmax(logits: Pixels) -> Pixels:
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def average(image: Pixels, config: InferenceConfig) -> Pixels:
    def predict(images: tf.Tensor) -> tf.Tensor:
        return tf.constant(look_left(images.numpy()))

    return average_variants(predict, tf.constant(image), make_settings(config).variants, 3).numpy()


def resize(pixels: Pixels, height: int, width: int) -> Pixels:
    """Pillow's: bilinear, antialiased, channel by channel."""
    channels = [
        Image.fromarray(np.ascontiguousarray(pixels[..., index])).resize(
            (width, height), Image.Resampling.BILINEAR
        )
        for index in range(pixels.shape[-1])
    ]
    return np.stack([np.asarray(channel) for channel in channels], axis=-1)


@pytest.mark.parametrize("size", SIZES)
def test_flips_are_undone_and_averaged(size: tuple[int, int]) -> None:
    image = draw(*size)
    plain = softmax(look_left(image[None])[0])
    mirrored = softmax(look_left(image[None, :, ::-1])[0])[:, ::-1]
    upside_down = softmax(look_left(image[None, ::-1])[0])[::-1]
    both = softmax(look_left(image[None, ::-1, ::-1])[0])[::-1, ::-1]
    assert size == (1, 4) or np.abs(plain - upside_down).max() > 0.1

    found = average(image, InferenceConfig(flip_horizontal=True))
    np.testing.assert_allclose(found, (plain + mirrored) / 2, atol=1e-6)
    found = average(image, InferenceConfig(flip_vertical=True))
    np.testing.assert_allclose(found, (plain + upside_down) / 2, atol=1e-6)
    found = average(image, InferenceConfig(flip_horizontal=True, flip_vertical=True))
    np.testing.assert_allclose(found, (plain + mirrored + upside_down + both) / 4, atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_one_pass_is_the_softmax(size: tuple[int, int]) -> None:
    image = draw(*size)
    np.testing.assert_allclose(
        average(image, InferenceConfig()), softmax(look_left(image[None])[0]), atol=1e-6
    )


@pytest.mark.parametrize(
    ("size", "scale", "scaled"),
    [((37, 53), 0.75, (28, 40)), ((37, 53), 1.5, (56, 80)), ((6, 9), 0.5, (3, 4)), ((1, 3), 0.25, (1, 1))],
)
def test_scales_are_those_of_pillow(size: tuple[int, int], scale: float, scaled: tuple[int, int]) -> None:
    # Sides are rounded, half to even: 37 * 1.5 = 55.5 is 56, 9 * 0.5 = 4.5 is 4.
    image = draw(*size)
    smaller = softmax(resize(look_left(resize(image, *scaled)[None])[0], *size))
    found = average(image, InferenceConfig(scales=(scale, 1.0)))
    np.testing.assert_allclose(found, (smaller + softmax(look_left(image[None])[0])) / 2, atol=1e-5)


def test_each_scale_is_flipped_too() -> None:
    image = draw(8, 12)
    ways = []
    for scaled in ((4, 6), (8, 12)):
        seen = resize(image, *scaled)
        ways.append(resize(look_left(seen[None])[0], 8, 12))
        ways.append(resize(look_left(seen[None, :, ::-1])[0][:, ::-1], 8, 12))
    found = average(image, InferenceConfig(scales=(0.5, 1.0), flip_horizontal=True))
    np.testing.assert_allclose(found, np.mean([softmax(way) for way in ways], axis=0), atol=1e-5)
