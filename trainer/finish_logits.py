"""From logits at the working size to answers at an image's own size, a band of rows at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from data.resize_example import restore_rows
from trainer.classify import BAND_SCORES, classify

PIXELS = (tf.TensorSpec([None, None], tf.uint8), tf.TensorSpec([None, None], tf.float32))
"""Class ids and their probabilities."""
ENCODED = (tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.float32))
"""A PNG of class ids, and their mean probability."""


def classify_at_size(logits: Any, size: Any) -> tuple[Any, Any]:
    """Returns class ids uint8 [height, width] and their probabilities float32, at the given size.

    Args:
        logits: float32 [height, width, classes] at the working size.
        size: int32 [2], the image's own.
    """
    class_ids, probability = map_bands(logits, size, lambda band, _: classify(band), PIXELS)
    return _join_bands(class_ids, size), _join_bands(probability, size)


def predict_at_size(logits: Any, size: Any) -> Any:
    """Returns class ids alone, uint8 [height, width], likewise."""
    class_ids = map_bands(
        logits, size, lambda band, _: tf.cast(tf.argmax(band, axis=-1), tf.uint8), PIXELS[0]
    )
    return _join_bands(class_ids, size)


def encode_mask(logits: Any, size: Any) -> tuple[Any, Any]:
    """Returns a PNG of class ids at the given size, and the mean over its pixels of their probabilities."""

    def classify_band(band: Any, row_count: Any) -> tuple[Any, Any]:
        class_ids, probability = classify(band)
        return class_ids, tf.reduce_sum(probability[:row_count])

    class_ids, sums = map_bands(logits, size, classify_band, (PIXELS[0], tf.TensorSpec([], tf.float32)))
    mean = tf.reduce_sum(sums) / tf.cast(size[0] * size[1], tf.float32)
    return tf.io.encode_png(_join_bands(class_ids, size)[..., tf.newaxis]), mean


def map_bands(logits: Any, size: Any, function: Callable[[Any, Any], Any], specs: Any) -> Any:
    """Applies a function to bands of logits at an image's own size, one band after the other.

    Args:
        logits: float32 [height, width, classes] at the working size.
        size: int32 [2], the image's own.
        function: of float32 [rows, image's width, classes] and of how many of the rows lie within the
            image; the last band may go beyond.
        specs: of what it returns.

    Returns:
        What the function returned, [bands, ...].
    """
    rows = tf.clip_by_value(BAND_SCORES // (size[1] * logits.shape[-1]), 1, size[0])

    def apply(first_row: Any) -> Any:
        band = restore_rows(logits, size[0], size[1], first_row, rows)
        return function(band, tf.minimum(rows, size[0] - first_row))

    starts = tf.range(0, size[0], rows)
    return tf.map_fn(apply, starts, fn_output_signature=specs, parallel_iterations=1)


def _join_bands(bands: Any, size: Any) -> Any:
    """Returns [height, width] of pixels [bands, rows, width]."""
    return tf.reshape(bands, [-1, size[1]])[: size[0]]
