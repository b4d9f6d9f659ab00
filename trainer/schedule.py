"""The learning rate, as a function of how much of the training is done."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf


def learning_rate_at(progress: Any, peak: float, warmup_share: float) -> Any:
    """Computes the learning rate: a linear rise, then half a cosine down to 0.

    Args:
        progress: float scalar, 0 at the first step and 1 at the end. It may be a share of steps or, where
            time is what limits the training, a share of time.
        peak: the highest learning rate.
        warmup_share: share of the training over which the rate rises.

    Returns:
        float32 scalar. Source: Loshchilov, Hutter, "SGDR", ICLR 2017, equation 5, without restarts.
    """
    progress = tf.clip_by_value(tf.cast(progress, tf.float32), 0.0, 1.0)
    decayed = (progress - warmup_share) / (1.0 - warmup_share)
    rate = peak * 0.5 * (1.0 + tf.cos(math.pi * tf.maximum(decayed, 0.0)))
    if not warmup_share:
        return rate
    return tf.where(progress < warmup_share, peak * progress / warmup_share, rate)
