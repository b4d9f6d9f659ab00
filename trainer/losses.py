"""Cross entropy over labelled pixels, and the class weights.

A loss is kept as a sum and the weight it is a sum over, because on several devices the mean has to be
taken over the labelled pixels of the global batch: dividing on each device would give the pixels of a
device with much void more weight than the others.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

ClassWeighting = Literal["none", "median_frequency", "inverse_sqrt"]


def sum_cross_entropy(
    logits: Any, masks: Any, class_weights: Any, ignore_id: int, label_smoothing: float = 0.0
) -> tuple[Any, Any]:
    """Sums the weighted cross entropy of all labelled pixels.

    Args:
        logits: float32 [batch, height, width, classes].
        masks: integer [batch, height, width]; pixels of ``ignore_id`` are left out.
        class_weights: float32 [classes]: the weight of a pixel by its true class.
        ignore_id: the id of void.
        label_smoothing: share of the target that is spread evenly over all classes (Szegedy et al.,
            CVPR 2016, section 7).

    Returns:
        The sum over labelled pixels of weight times cross entropy, and the sum of the weights: float32
        scalars. Without a labelled pixel both are 0, and so is the gradient.
    """
    labels = tf.cast(masks, tf.int32)
    labelled = tf.not_equal(labels, ignore_id)
    labels = tf.where(labelled, labels, 0)
    weights = tf.where(labelled, tf.gather(class_weights, labels), 0.0)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    if label_smoothing:
        spread = -tf.reduce_mean(tf.nn.log_softmax(logits), axis=-1)
        losses = (1.0 - label_smoothing) * losses + label_smoothing * spread
    return tf.reduce_sum(weights * losses), tf.reduce_sum(weights)


def compute_class_weights(
    weighting: ClassWeighting, class_pixels: NDArray[np.floating], class_image_pixels: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Computes the weight of each class' pixels.

    Args:
        weighting: ``none``, ``median_frequency`` or ``inverse_sqrt``, as in ``TrainerConfig``.
        class_pixels: [classes]: pixels of each class in the train split.
        class_image_pixels: [classes]: labelled pixels of the images that have the class.

    Returns:
        float32 [classes]. Classes without a pixel get 1.
        ``median_frequency``: the median of the classes' frequencies over the class' own, a frequency
        being a class' pixels over the labelled pixels of the images that have it (Eigen, Fergus,
        ICCV 2015, section 6.3.2).
        ``inverse_sqrt``: one over the root of the class' share of all pixels, scaled so that the mean
        weight over the train split's pixels is 1.
    """
    pixels = np.asarray(class_pixels, np.float64)
    weights = np.ones(pixels.shape)
    seen = pixels > 0
    if not seen.any() or weighting == "none":
        return weights.astype(np.float32)
    if weighting == "median_frequency":
        frequencies = pixels[seen] / np.asarray(class_image_pixels, np.float64)[seen]
        weights[seen] = np.median(frequencies) / frequencies
    elif weighting == "inverse_sqrt":
        shares = pixels[seen] / pixels.sum()
        weights[seen] = 1 / np.sqrt(shares) / np.sqrt(shares).sum()
    else:
        raise ValueError(f"no such class weighting: {weighting}")
    return weights.astype(np.float32)
