"""Measures a network on a split: the confusion matrix at working size, over all devices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from trainer.count_pixels import count_pixels
from trainer.learner import Learner, distribute

CountFunction = Callable[[Any], Any]


def make_count_function(learner: Learner, num_classes: int, ignore_id: int) -> CountFunction:
    """Makes the compiled function that predicts a batch and counts its pixels.

    Returns:
        A function of a batch (``image``, ``mask``) that returns its confusion matrix, int64 [classes,
        classes], at working size.
    """

    def count_on_replica(batch: Any) -> Any:
        prediction = tf.argmax(learner.model(batch["image"], training=False), axis=-1, output_type=tf.int32)
        # GPUs have no kernel that TensorFlow takes for a deterministic one.
        with tf.device("CPU:0"):
            return tf.reduce_sum(count_pixels(batch["mask"], prediction, num_classes, ignore_id), axis=0)

    @tf.function(autograph=False)
    def count_batch(batch: Any) -> Any:
        return learner.strategy.reduce(
            "SUM", learner.strategy.run(count_on_replica, args=(batch,)), axis=None
        )

    return count_batch


def measure_split(
    learner: Learner, count: CountFunction, dataset: Any, num_classes: int
) -> NDArray[np.int64]:
    """Counts a whole split: int64 [classes, classes] at working size."""
    matrix = np.zeros((num_classes, num_classes), np.int64)
    for batch in distribute(learner.strategy, dataset):
        matrix += count(batch).numpy()
    return matrix
