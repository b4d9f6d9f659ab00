r"""Focal loss: cross entropy in which a pixel loses weight the better it is learned.

loss = sum_i w_{y_i} * (1 - p_i)^gamma * -log p_i / sum_i w_{y_i} over the labelled pixels of the global
batch, p_i being the softmax probability of pixel i's true class y_i and w the class weights, which take the
place of the paper's alpha. The paper divides by the number of boxes that hold an object; a segmentation's
counterpart are the labelled pixels. With gamma 0 this is cross entropy.

Source: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, equation 5.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from trainer.losses.pixels import find_labelled, weigh_pixels

# Where p rounds to 1, a power below 1 would have no derivative.
_SMALLEST = 1e-12


def sum_focal(logits: Any, masks: Any, class_weights: Any, ignore_id: int, gamma: float) -> Any:
    """Sums the weighted focal loss of all labelled pixels.

    Args:
        logits: floating [batch, height, width, classes].
        masks: integer [batch, height, width]; pixels of ``ignore_id`` are left out.
        class_weights: of the logits' dtype [classes]: the weight of a pixel by its true class.
        ignore_id: the id of void.
        gamma: the exponent, 0 or more.

    Returns:
        A scalar of the logits' dtype, to be divided by ``pixels.sum_pixel_weights``.
    """
    weights = weigh_pixels(masks, class_weights, ignore_id)
    labels, _ = find_labelled(masks, ignore_id)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    # 1 - p, exact also where p is close to 1.
    missing = tf.maximum(-tf.math.expm1(-losses), _SMALLEST)
    return tf.reduce_sum(weights * tf.pow(missing, gamma) * losses)
