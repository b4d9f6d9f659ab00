r"""Cross entropy of the hard pixels of each image: online hard example mining, for pixels.

Of an image with n labelled pixels, K are hard: the ceil(share * n) whose true class has the least
probability, those that are level with the last of them, and all whose true class has a probability below
``min_probability``. loss = mean over images of sum_{i in K} w_{y_i} * H_i / sum_{i in K} w_{y_i}, with H_i
and w as in cross_entropy.py. Which pixels are hard is taken for granted: no gradient flows through it.

An image's hard pixels are its own, whichever images stand beside it, so that the choice does not depend on
how a batch is shared out. Images without a labelled pixel leave the mean.

Source: Shrivastava, Gupta, Girshick, "Training Region-based Object Detectors with Online Hard Example
Mining", CVPR 2016, section 4, for regions; for pixels, with a probability below which all count: Wu, Shen,
van den Hengel, "Bridging Category-level and Instance-level Semantic Image Segmentation", 2016 (online
bootstrapping).
"""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from trainer.losses.cross_entropy import smooth_cross_entropy
from trainer.losses.pixels import find_labelled, weigh_pixels

# A share of a count may miss a whole number by rounding: 0.07 * 100 is above 7.
_ROUNDING = 1e-9


def sum_hard_pixels(
    logits: Any,
    masks: Any,
    class_weights: Any,
    ignore_id: int,
    share: float,
    min_probability: float | None = None,
    label_smoothing: float = 0.0,
) -> Any:
    """Sums over images the mean cross entropy of their hard pixels.

    Args:
        logits: floating [batch, height, width, classes].
        masks: integer [batch, height, width]; pixels of ``ignore_id`` are left out.
        class_weights: of the logits' dtype [classes]: the weight of a pixel by its true class.
        ignore_id: the id of void.
        share: of an image's labelled pixels, the least that counts.
        min_probability: pixels below it count in any case; None for none.
        label_smoothing: as in ``sum_cross_entropy``. How hard a pixel is does not depend on it.

    Returns:
        A scalar of the logits' dtype, to be divided by ``pixels.count_labelled_images``.
    """
    labels, labelled = find_labelled(masks, ignore_id)
    hardness = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    is_hard = find_hard_pixels(tf.stop_gradient(hardness), labelled, share, min_probability)
    weights = weigh_pixels(masks, class_weights, ignore_id)
    weights = tf.where(is_hard, weights, tf.zeros_like(weights))
    losses = smooth_cross_entropy(logits, labels, label_smoothing)
    sums, totals = (tf.reduce_sum(values, axis=(1, 2)) for values in (weights * losses, weights))
    return tf.reduce_sum(tf.math.divide_no_nan(sums, totals))


def find_hard_pixels(hardness: Any, labelled: Any, share: float, min_probability: float | None) -> Any:
    """Finds the hard pixels of each image.

    Args:
        hardness: floating [batch, height, width], -log of the probability of the true class.
        labelled: boolean [batch, height, width].
        share: of an image's labelled pixels, the least that is hard.
        min_probability: pixels below it are hard in any case; None for none.

    Returns:
        boolean [batch, height, width].
    """
    # Behind all labelled pixels, whose hardness is 0 at least.
    ranked = tf.where(labelled, hardness, -tf.ones_like(hardness))
    ranked = tf.reshape(ranked, [tf.shape(hardness)[0], -1])
    counts = tf.reduce_sum(tf.cast(labelled, tf.float64), axis=(1, 2))
    last = tf.cast(tf.math.ceil(share * counts - _ROUNDING), tf.int32) - 1
    descending = tf.sort(ranked, axis=1, direction="DESCENDING")
    least = tf.gather(descending, tf.maximum(last, 0), batch_dims=1)
    if min_probability is not None:
        # Above, not level: at this very probability a pixel is easy.
        limit = tf.cast(-math.log(min_probability), hardness.dtype)
        above = hardness > limit
    else:
        above = tf.zeros_like(labelled)
    return labelled & (above | (hardness >= least[:, tf.newaxis, tf.newaxis]))
