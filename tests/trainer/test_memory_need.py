"""The memory that networks need for a pixel, against what their layers add up to by hand."""

from __future__ import annotations

import keras
import pytest

from trainer.build_model import build_model
from trainer.memory_need import measure_pixel_bytes
from trainer.model_config import ModelConfig
from trainer.unpooling import MaxPooling2DWithPlaces, MaxUnpooling2D
from trainer.upsampling import SubPixelConvolution2D

CLASSES = 4


def test_a_convolution_holds_its_input_and_its_output() -> None:
    images = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(8, 3, padding="same")(images)
    x = keras.layers.ReLU()(x)
    x = keras.layers.Conv2D(5, 3, padding="same")(x)
    # The image is gone by then; ReLU works in place.
    assert measure_pixel_bytes(keras.Model(images, x)) == 4 * (8 + 5)


def test_what_is_needed_later_is_held_as_long() -> None:
    images = keras.Input((None, None, 3))
    wide = keras.layers.Conv2D(6, 1)(images)
    half = keras.layers.Conv2D(16, 2, strides=2)(wide)
    up = SubPixelConvolution2D(2)(half)
    joined = keras.layers.Concatenate()([wide, up])
    # While they are joined, both are there twice.
    assert measure_pixel_bytes(keras.Model(images, joined)) == 4 * (6 + 16 + 22)


def test_pooled_places_are_bytes_and_values_of_the_whole_image_count_nothing() -> None:
    images = keras.Input((None, None, 8))
    maxima, places = MaxPooling2DWithPlaces()(images)
    pooled = keras.Model(images, [maxima, places])
    assert measure_pixel_bytes(pooled) == 4 * 8 + (4 * 8 + 8) // 4
    weights = keras.layers.GlobalAveragePooling2D(keepdims=True)(images)
    assert measure_pixel_bytes(keras.Model(images, keras.layers.Multiply()([images, weights]))) == 4 * 8
    unpooled = MaxUnpooling2D()(maxima, places)
    # Its output three times, beside what is unpooled.
    assert measure_pixel_bytes(keras.Model(images, unpooled)) == (4 * 8 + 8) // 4 + 3 * 4 * 8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("head", "expected"),
    [
        # The image, which cropping asks for the sides of, and two convolutions of the first block.
        ("fcn8s", 12 + 256 + 256),
        # The image, the skip, what is upsampled (64 channels at half the size), and the upsampled with the
        # products of its 4x4 kernel, 4 a pixel and channel.
        ("unet", 12 + 256 + 64 + 256 + 4 * 256),
    ],
)
def test_vgg16_by_hand(head: str, expected: int) -> None:
    config = ModelConfig(backbone="vgg16", head=head)
    assert measure_pixel_bytes(build_model(config, CLASSES, [0.0] * 3, [1.0] * 3)) == expected
