"""Max pooling with places, and its inverse, on values worked out by hand and against numpy."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.unpooling import MaxPooling2DWithPlaces, MaxUnpooling2D

#                  two windows a row; of equal values the first counts
VALUES = np.array([[1, 5, 2, 2], [3, 4, 2, 2], [-1, -2, 0, 0], [-4, -3, 0, 9]], np.float32)


def test_values_and_places_worked_out_by_hand() -> None:
    maxima, places = MaxPooling2DWithPlaces()(VALUES[np.newaxis, :, :, np.newaxis])
    assert np.asarray(maxima)[0, :, :, 0].tolist() == [[5, 2], [-1, 9]]
    assert np.asarray(places)[0, :, :, 0].tolist() == [[1, 0], [0, 3]] and places.dtype == tf.uint8


def test_unpooling_puts_values_back_where_they_were() -> None:
    _, places = MaxPooling2DWithPlaces()(VALUES[np.newaxis, :, :, np.newaxis])
    others = np.array([[10, 20], [30, 40]], np.float32)[np.newaxis, :, :, np.newaxis]
    outputs = np.asarray(MaxUnpooling2D()(others, places))[0, :, :, 0]
    assert outputs.tolist() == [[0, 10, 20, 0], [0, 0, 0, 0], [30, 0, 0, 0], [0, 0, 0, 40]]


def test_pooling_what_was_unpooled_gives_it_back() -> None:
    rng = np.random.default_rng(0)
    pool, unpool = MaxPooling2DWithPlaces(), MaxUnpooling2D()
    _, places = pool(rng.normal(size=(2, 6, 8, 3)).astype(np.float32))
    values = rng.uniform(0.1, 1, (2, 3, 4, 3)).astype(np.float32)
    maxima, again = pool(unpool(values, places))
    np.testing.assert_array_equal(np.asarray(maxima), values)
    np.testing.assert_array_equal(np.asarray(again), np.asarray(places))


def test_agrees_with_tensorflows_argmax_and_its_gradient() -> None:
    rng = np.random.default_rng(1)
    image = tf.constant(rng.normal(size=(2, 6, 8, 3)).astype(np.float32))
    target = tf.constant(rng.normal(size=(2, 6, 8, 3)).astype(np.float32))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(image)
        maxima, places = MaxPooling2DWithPlaces()(image)
        ours = MaxUnpooling2D()(maxima, places)
        values, flat = tf.nn.max_pool_with_argmax(image, 2, 2, "VALID", include_batch_in_index=True)
        scattered = tf.scatter_nd(tf.reshape(flat, [-1, 1]), tf.reshape(values, [-1]), [2 * 6 * 8 * 3])
        theirs = tf.reshape(scattered, image.shape)
        losses = [tf.reduce_sum(x * target) for x in (ours, theirs)]
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(*(tape.gradient(loss, image) for loss in losses))


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_unknown_sizes_and_half_precision(policy: str) -> None:
    inputs = keras.Input((None, None, 2))
    maxima, places = MaxPooling2DWithPlaces(dtype=policy)(inputs)
    model = keras.Model(inputs, [maxima, places, MaxUnpooling2D(dtype=policy)(maxima, places)])
    assert [output.shape for output in model.outputs] == [(None, None, None, 2)] * 3
    maxima, places, outputs = model(np.random.default_rng(0).normal(size=(1, 4, 6, 2)).astype(np.float32))
    assert maxima.shape == places.shape == (1, 2, 3, 2) and outputs.shape == (1, 4, 6, 2)
    assert outputs.dtype.name == policy.removeprefix("mixed_") and places.dtype == tf.uint8
