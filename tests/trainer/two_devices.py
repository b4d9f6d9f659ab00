"""One training on N logical CPU devices; prints its losses and weights. Run by test_distribution.py."""

from __future__ import annotations

import sys

import numpy as np
import tensorflow as tf

from data.read_transformed import DatasetStatistics
from trainer.config import ModelConfig, TrainerConfig
from trainer.distribution import make_strategy, set_logical_cpus
from trainer.learner import distribute, make_count_function, make_learner, make_train_function, measure_split
from trainer.precision import PrecisionChoice

STEPS = 3


def main(devices: int, optimizer: str, output: str) -> None:
    set_logical_cpus(devices)
    config = TrainerConfig(
        model=ModelConfig(width=4, head="fcn8s", dropout=0.0),
        batch_size=4,
        optimizer=optimizer,
        learning_rate=0.05 if optimizer == "sgd" else 1e-3,
        warmup_share=0.0,
        class_weighting="median_frequency",
        gradient_clip_norm=0.5,
        ema_momentum=0.5,
        devices=devices,
    )
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (4 * STEPS, 32, 64, 3)).astype(np.float32)
    masks = rng.integers(0, 3, (4 * STEPS, 32, 64)).astype(np.uint8)
    # Void is unevenly spread: the second device of the second step has nothing else.
    masks[0, :20] = 255
    masks[6:8] = 255
    ones = np.ones(3, np.float32)
    pixels = np.array([9.0, 3.0, 1.0], np.float32)
    statistics = DatasetStatistics(100 * ones, 60 * ones, pixels, 13 * ones, len(images))
    strategy = make_strategy(devices)
    assert strategy.num_replicas_in_sync == devices
    learner = make_learner(config, 3, statistics, strategy, PrecisionChoice("float32", "test"))
    dataset = tf.data.Dataset.from_tensor_slices({"image": images, "mask": masks}).batch(4)
    train_steps = make_train_function(learner, config, statistics, 255, 10)
    losses = train_steps(iter(distribute(strategy, dataset)), tf.constant(STEPS)).numpy()
    matrix = measure_split(learner, make_count_function(learner, 3, 255), dataset, 3)
    weights = {f"weight_{i:03d}": weight.numpy() for i, weight in enumerate(learner.model.weights)}
    averages = {f"average_{i:03d}": v.numpy() for i, v in enumerate(learner.average.averages)}
    # Outside of compiled functions and of the strategy's scope, as pictures are predicted.
    logits = np.asarray(learner.model(images[:1], training=False))
    np.savez(output, losses=losses, matrix=matrix, logits=logits, **weights, **averages)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
