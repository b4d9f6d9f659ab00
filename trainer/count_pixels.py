"""Counts confusion matrices inside the TensorFlow graph. The metrics' formula is in confusion_matrix.py."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def count_pixels(truth: Any, prediction: Any, num_classes: int, ignore_id: int) -> Any:
    """Counts the pixels of each example by true and predicted class.

    Args:
        truth: integer [batch, height, width] of class ids; pixels of ``ignore_id`` are dropped.
        prediction: integer [batch, height, width] of class ids.
        num_classes: ids run from 0 to ``num_classes - 1``.
        ignore_id: the id of void.

    Returns:
        int64 [batch, classes, classes]: rows truth, columns prediction.
    """
    truth, prediction = tf.cast(truth, tf.int32), tf.cast(prediction, tf.int32)
    batch, cells = tf.shape(truth)[0], num_classes * num_classes
    example = tf.range(batch)[:, tf.newaxis, tf.newaxis]
    places = (example * num_classes + truth) * num_classes + prediction
    labelled = tf.boolean_mask(places, tf.not_equal(truth, ignore_id))
    counts = tf.math.bincount(labelled, minlength=batch * cells, maxlength=batch * cells, dtype=tf.int64)
    return tf.reshape(counts, [batch, num_classes, num_classes])
