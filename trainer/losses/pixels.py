"""What the losses have in common: which pixels are labelled, and what they weigh.

A loss is kept as a sum and the weight it is a sum over, because on several devices the mean has to be
taken over the global batch: dividing on each device would give the pixels of a device with much void more
weight than the others. Weights follow from the masks alone, so that the sum over all devices, and over all
parts of an accumulated batch, is known before anything is differentiated.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def find_labelled(masks: Any, ignore_id: int) -> tuple[Any, Any]:
    """Tells labelled pixels from void.

    Args:
        masks: integer [batch, height, width].
        ignore_id: the id of void.

    Returns:
        int32 [batch, height, width], class ids with 0 in the place of void, and boolean [batch, height,
        width], whether a pixel is labelled.
    """
    labels = tf.cast(masks, tf.int32)
    labelled = tf.not_equal(labels, ignore_id)
    return tf.where(labelled, labels, 0), labelled


def weigh_pixels(masks: Any, class_weights: Any, ignore_id: int) -> Any:
    """Returns the weight of each pixel by its true class, 0 on void: [batch, height, width].

    Args:
        masks: integer [batch, height, width].
        class_weights: floating [classes].
        ignore_id: the id of void.
    """
    labels, labelled = find_labelled(masks, ignore_id)
    weights = tf.gather(class_weights, labels)
    return tf.where(labelled, weights, tf.zeros_like(weights))


def sum_pixel_weights(masks: Any, class_weights: Any, ignore_id: int) -> Any:
    """Returns the sum of ``weigh_pixels``: what a mean over pixels is divided by."""
    return tf.reduce_sum(weigh_pixels(masks, class_weights, ignore_id))


def count_images(masks: Any) -> Any:
    """Returns the number of images, float32: what a mean over batches of any kind is divided by."""
    return tf.cast(tf.shape(masks)[0], tf.float32)


def count_labelled_images(masks: Any, ignore_id: int) -> Any:
    """Returns how many images have a labelled pixel, float32: what a mean over images is divided by."""
    _, labelled = find_labelled(masks, ignore_id)
    return tf.reduce_sum(tf.cast(tf.reduce_any(labelled, axis=(1, 2)), tf.float32))
