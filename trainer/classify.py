"""From logits to classes, and how many logits to hold at once while doing so."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

BAND_SCORES = 8_000_000
"""Logits that are held at once at an image's own size: 32 MB."""


def classify(logits: Any) -> tuple[Any, Any]:
    """Returns the class of each pixel and its probability.

    Args:
        logits: float32 [height, width, classes].

    Returns:
        Class ids uint8 [height, width], and float32 [height, width]: the softmax at that class.
    """
    largest = tf.reduce_max(logits, axis=-1, keepdims=True)
    probability = 1 / tf.reduce_sum(tf.exp(logits - largest), axis=-1)
    return tf.cast(tf.argmax(logits, axis=-1), tf.uint8), probability
