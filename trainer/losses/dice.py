r"""Soft Dice loss of several classes.

With p_ic the softmax probability of class c at pixel i and g_ic 1 where c is true, else 0:
I_c = sum_i p_ic g_ic, P_c = sum_i p_ic (``squared``: sum_i p_ic^2), T_c = sum_i g_ic, and C the classes with
T_c > 0, loss = 1 - 1 / |C| * sum_{c in C} 2 I_c / (P_c + T_c), and ``generalized``
loss = 1 - 2 sum_{c in C} I_c / T_c^2 / sum_{c in C} (P_c + T_c) / T_c^2.

Sums run over the labelled pixels of the whole batch, on all devices together: a batch shows more of the
classes than an image, and the measure is then close to that of the split. With ``per_image`` they run over
each image, and the loss is the mean over images with a labelled pixel. Classes that are absent leave the
loss; what is predicted of them wrongly is missing in the others' I_c. With accumulated gradients the batch
is one of the parts, and the loss the mean over the parts.

Source: Milletari, Navab, Ahmadi, "V-Net", 3DV 2016, section 3 (squared, one class); Sudre et al.,
"Generalised Dice overlap as a deep learning loss function for highly unbalanced segmentations", DLMIA 2017,
section 2 (without squares, and generalised).
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from trainer.distribution import sum_over_replicas
from trainer.losses.pixels import count_images, find_labelled


def sum_dice(
    logits: Any,
    masks: Any,
    ignore_id: int,
    per_image: bool = False,
    squared: bool = False,
    generalized: bool = False,
) -> Any:
    """Sums over images their Dice loss, or that of their batch. Call in replica context.

    Args:
        logits: floating [batch, height, width, classes].
        masks: integer [batch, height, width]; pixels of ``ignore_id`` are left out.
        ignore_id: the id of void.
        per_image: whether each image has a loss of its own.
        squared: whether probabilities are squared in the denominator.
        generalized: whether classes weigh by the inverse square of their pixels.

    Returns:
        A scalar of the logits' dtype, to be divided by ``pixels.count_labelled_images`` with
        ``per_image``, else by ``pixels.count_images``.
    """
    labels, labelled = find_labelled(masks, ignore_id)
    # An id that is no class has no 1.
    truth = tf.one_hot(tf.where(labelled, labels, -1), logits.shape[-1], dtype=logits.dtype)
    probabilities = tf.nn.softmax(logits)
    probabilities = tf.where(labelled[..., tf.newaxis], probabilities, tf.zeros_like(probabilities))
    predicted = tf.square(probabilities) if squared else probabilities
    sums = tf.stack(
        [tf.reduce_sum(values, axis=(1, 2)) for values in (probabilities * truth, predicted, truth)]
    )
    if per_image:
        return tf.reduce_sum(compute_dice_loss(sums, generalized))
    loss = compute_dice_loss(sum_over_replicas(tf.reduce_sum(sums, axis=1)), generalized)
    # Each device stands for its own images, and all devices together for the batch.
    return loss * tf.cast(count_images(masks), loss.dtype)


def compute_dice_loss(sums: Any, generalized: bool) -> Any:
    """Computes the Dice loss from the sums of pixels.

    Args:
        sums: floating [3, ..., classes]: I_c, P_c and T_c above.
        generalized: which of the two forms.

    Returns:
        floating [...], 0 without a labelled pixel.
    """
    common, predicted, true = tf.unstack(sums)
    present = tf.cast(true > 0, true.dtype)
    if generalized:
        weights = tf.square(tf.math.divide_no_nan(present, true))
        numerator, denominator = (
            tf.reduce_sum(weights * values, axis=-1) for values in (2 * common, predicted + true)
        )
        return tf.reduce_max(present, axis=-1) - tf.math.divide_no_nan(numerator, denominator)
    dice = tf.math.divide_no_nan(2 * common, predicted + true)
    return tf.math.divide_no_nan(
        tf.reduce_sum(present * (1 - dice), axis=-1), tf.reduce_sum(present, axis=-1)
    )
