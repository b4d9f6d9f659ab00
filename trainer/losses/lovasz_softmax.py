r"""Lovász-softmax: a surrogate of the mean IoU that can be differentiated.

For an image and a class c, the error of labelled pixel i is m_i = 1 - p_ic where c is true, else p_ic, with p
the softmax of the logits. With the errors in descending order, loss_c = sum_i m_i * (J_i - J_{i-1}), where
J_i = 1 - |true, not among the first i| / |true, or among the first i| is the Jaccard loss of having exactly
the first i pixels wrong, and J_0 = 0. The image's loss is the mean of loss_c over the classes that its mask
has, the loss the mean over the images with a labelled pixel.

The measure is each image's, not the batch's, which keeps it independent of how a batch is shared out among
devices (sorting a batch would need all its pixels on each).

Source: Berman, Triki, Blaschko, "The Lovász-Softmax loss: A tractable surrogate for the optimization of the
intersection-over-union measure in neural networks", CVPR 2018, definition 2 and section 4.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from trainer.losses.pixels import find_labelled


def sum_lovasz_softmax(logits: Any, masks: Any, ignore_id: int) -> Any:
    """Sums the Lovász-softmax losses of all images.

    Args:
        logits: floating [batch, height, width, classes].
        masks: integer [batch, height, width]; pixels of ``ignore_id`` are left out.
        ignore_id: the id of void.

    Returns:
        A scalar of the logits' dtype, to be divided by ``pixels.count_labelled_images``.
    """
    batch, classes = tf.shape(logits)[0], logits.shape[-1]
    labels, labelled = (tf.reshape(values, [batch, -1]) for values in find_labelled(masks, ignore_id))
    truth = tf.one_hot(tf.where(labelled, labels, -1), classes, True, False, dtype=tf.bool)
    probabilities = tf.reshape(tf.nn.softmax(logits), [batch, -1, classes])
    errors = tf.where(truth, 1 - probabilities, probabilities)
    errors = tf.where(labelled[..., tf.newaxis], errors, tf.zeros_like(errors))
    slopes = _find_slopes(tf.stop_gradient(errors), truth, labelled)
    losses = tf.reduce_sum(errors * slopes, axis=1)
    present = tf.cast(tf.reduce_any(truth, axis=1), losses.dtype)
    means = tf.math.divide_no_nan(tf.reduce_sum(present * losses, axis=1), tf.reduce_sum(present, axis=1))
    return tf.reduce_sum(means)


def _find_slopes(errors: Any, truth: Any, labelled: Any) -> Any:
    """Returns J_i - J_{i-1} for each pixel and class: [batch, pixels, classes], constant under gradients."""

    # One class at a time: sorting all at once would need several times the memory of the logits.
    def find(index: Any) -> Any:
        class_truth = truth[..., index]
        return tf.cond(
            tf.reduce_any(class_truth),
            lambda: find_class_slopes(errors[..., index], class_truth, labelled),
            lambda: tf.zeros_like(errors[..., 0]),
        )

    slopes = tf.map_fn(
        find, tf.range(errors.shape[-1]), parallel_iterations=1, fn_output_signature=errors.dtype
    )
    return tf.stop_gradient(tf.transpose(slopes, [1, 2, 0]))


def find_class_slopes(errors: Any, truth: Any, labelled: Any) -> Any:
    """Finds by how much the Jaccard loss grows with each pixel, pixels taken by descending error.

    Args:
        errors: floating [batch, pixels].
        truth: boolean [batch, pixels], whether the class is true there.
        labelled: boolean [batch, pixels]; void pixels come last.

    Returns:
        floating [batch, pixels], in the order of the pixels. What it says of void means nothing.
    """
    order = tf.argsort(tf.where(labelled, errors, -tf.ones_like(errors)), axis=1, direction="DESCENDING")
    is_true = tf.cast(tf.gather(truth, order, batch_dims=1), errors.dtype)
    total = tf.reduce_sum(is_true, axis=1, keepdims=True)
    right = total - tf.cumsum(is_true, axis=1)
    union = total + tf.cumsum(1 - is_true, axis=1)
    # The differences of J, worked out: subtracting numbers close to 1 would leave few digits of them.
    false_slopes = tf.math.divide_no_nan(right, union * (union - 1))
    sorted_slopes = tf.where(is_true > 0, 1 / union, false_slopes)
    shape = tf.shape(errors)
    places = order + shape[1] * tf.range(shape[0])[:, tf.newaxis]
    flat = tf.scatter_nd(tf.reshape(places, [-1, 1]), tf.reshape(sorted_slopes, [-1]), [shape[0] * shape[1]])
    return tf.reshape(flat, shape)
