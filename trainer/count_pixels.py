"""Counts confusion matrices inside the TensorFlow graph. The metrics' formula is in confusion_matrix.py."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

_STRIP_PIXELS = 1 << 20
"""So many pixels are counted at once: each takes some thirty bytes meanwhile."""


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


def count_image(truth: Any, prediction: Any, num_classes: int, ignore_id: int) -> Any:
    """Counts the pixels of one image as ``count_pixels`` does, strip by strip: in little memory.

    Args:
        truth: uint8 [height, width] of class ids; pixels of ``ignore_id`` are dropped.
        prediction: uint8 [height, width] of class ids.
        num_classes: ids run from 0 to ``num_classes - 1``.
        ignore_id: the id of void.

    Returns:
        int64 [classes, classes]: rows truth, columns prediction.
    """
    size = tf.shape(truth)
    rows = tf.clip_by_value(_STRIP_PIXELS // size[1], 1, size[0])
    count = -(-size[0] // rows)

    def cut(ids: Any, fill: int) -> Any:
        below = [[0, count * rows - size[0]], [0, 0]]
        filled = tf.pad(ids, below, constant_values=tf.constant(fill, ids.dtype))
        return tf.reshape(filled, [count, 1, rows, tf.shape(ids)[1]])

    truths, predictions = cut(truth, ignore_id), cut(prediction, 0)

    def add(index: Any, total: Any) -> tuple[Any, Any]:
        counted = count_pixels(truths[index], predictions[index], num_classes, ignore_id)
        return index + 1, total + counted[0]

    _, total = tf.while_loop(
        lambda index, _: index < count,
        add,
        (tf.constant(0), tf.zeros([num_classes, num_classes], tf.int64)),
        parallel_iterations=1,
    )
    return total
