"""The learning rate, as a function of how much of the training is done.

It rises linearly, then falls to 0: by half a cosine (Loshchilov, Hutter, "SGDR", ICLR 2017, equation 5,
without restarts), or by a power of the share that is left, "poly" in segmentation (Chen et al., "DeepLab",
TPAMI 2018, section 4.1, with power 0.9).
"""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from trainer.config import TrainerConfig


def learning_rate_at(progress: Any, config: TrainerConfig) -> Any:
    """Computes the learning rate.

    Args:
        progress: float scalar, 0 at the first step and 1 at the end. It may be a share of steps or, where
            time is what limits the training, a share of time.
        config: ``learning_rate``, ``warmup_share``, ``schedule`` and ``polynomial_power``.

    Returns:
        float32 scalar.
    """
    peak, warmup_share = config.learning_rate, config.warmup_share
    progress = tf.clip_by_value(tf.cast(progress, tf.float32), 0.0, 1.0)
    decayed = tf.maximum((progress - warmup_share) / (1.0 - warmup_share), 0.0)
    if config.schedule == "polynomial":
        rate = peak * tf.pow(1.0 - decayed, config.polynomial_power)
    else:
        rate = peak * 0.5 * (1.0 + tf.cos(math.pi * decayed))
    if not warmup_share:
        return rate
    return tf.where(progress < warmup_share, peak * progress / warmup_share, rate)
