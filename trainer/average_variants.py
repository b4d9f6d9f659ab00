"""Test-time augmentation: the mean of what a network says of an image's flips and scales."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from trainer.inference_config import InferenceConfig

WHOLE_IMAGE_PX = 1 << 30
"""A window's side that no image has."""


class InferenceSettings(NamedTuple):
    """An ``InferenceConfig`` as tensors, so that one graph serves all.

    Attributes:
        variants: float32 [variants, 3]: scale, upside down (0 or 1), mirrored (0 or 1).
        window_px: int32 [2], height and width.
        window_overlap: float32 scalar, at least so much of a window its neighbour covers.
        window_is_gaussian: bool scalar; pixels of a window count alike otherwise.
        window_is_native: bool scalar: images are never shrunk.
    """

    variants: Any
    window_px: Any
    window_overlap: Any
    window_is_gaussian: Any
    window_is_native: Any


SETTING_SPECS = InferenceSettings(
    tf.TensorSpec([None, 3], tf.float32, "variants"),
    tf.TensorSpec([2], tf.int32, "window_px"),
    tf.TensorSpec([], tf.float32, "window_overlap"),
    tf.TensorSpec([], tf.bool, "window_is_gaussian"),
    tf.TensorSpec([], tf.bool, "window_is_native"),
)


def make_settings(config: InferenceConfig) -> InferenceSettings:
    """Returns a configuration as tensors."""
    window = config.window_px()
    return InferenceSettings(
        tf.constant(config.variants(), tf.float32),
        tf.constant(window or (WHOLE_IMAGE_PX, WHOLE_IMAGE_PX), tf.int32),
        tf.constant(config.window_overlap, tf.float32),
        tf.constant(config.window_weighting == "gaussian"),
        tf.constant(window is not None and config.window_resolution == "native"),
    )


def average_variants(predict: Callable[[Any], Any], image: Any, variants: Any, num_classes: int) -> Any:
    """Returns the mean over an image's flips and scales of the probabilities of each class.

    The logits of each are flipped back and resized to the image, and then go through the softmax, whose
    results are averaged: Chen et al., "Encoder-Decoder with Atrous Separable Convolution for Semantic Image
    Segmentation", ECCV 2018, section 4, and its published implementation. One pass is held at a time.

    Args:
        predict: of images float32 [1, height, width, 3] to logits float32 [1, height, width, classes].
        image: float32 [height, width, 3].
        variants: float32 [variants, 3], see ``InferenceSettings``.
        num_classes: of the logits.

    Returns:
        float32 [height, width, classes], adding up to 1 over the classes.
    """
    size, count = tf.shape(image)[:2], tf.shape(variants)[0]

    def add(index: Any, total: Any) -> tuple[Any, Any]:
        variant = variants[index]
        axes = tf.boolean_mask([1, 2], variant[1:] > 0)
        scaled = tf.maximum(tf.cast(tf.round(variant[0] * tf.cast(size, tf.float32)), tf.int32), 1)
        seen = tf.reverse(_resize(image[tf.newaxis], scaled), axes)
        logits = _resize(tf.reverse(predict(seen), axes), size)[0]
        return index + 1, total + tf.nn.softmax(logits)

    _, total = tf.while_loop(
        lambda index, _: index < count,
        add,
        (tf.constant(0), tf.zeros(tf.concat([size, [num_classes]], axis=0))),
        shape_invariants=(tf.TensorShape([]), tf.TensorShape([None, None, num_classes])),
        parallel_iterations=1,
    )
    return total / tf.cast(count, tf.float32)


def _resize(values: Any, size: Any) -> Any:
    """Resizes [1, height, width, channels]; to its own size it changes no bit."""
    resized = tf.image.resize(values, size, method="bilinear", antialias=True)
    return tf.ensure_shape(resized, [1, None, None, values.shape[-1]])
