"""Trainings on one and on two logical CPU devices; writes their losses and weights.

Run by test_distribution.py, all in one process, as a search over settings would: TensorFlow divides the CPU
only at the start of a process. The network is the tiny one, or that of the configuration.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import tensorflow as tf
from tiny_network import build_tiny_model

from data.augment import augment_batch
from data.config import AugmentConfig
from data.read_transformed import DatasetStatistics
from trainer import learner as learner_module
from trainer.config import ModelConfig, TrainerConfig
from trainer.distribution import make_strategy, set_logical_cpus
from trainer.learner import distribute, make_learner, make_train_function
from trainer.measure_split import make_count_function, measure_split
from trainer.precision import PrecisionChoice

STEPS, CLASSES, VOID = 20, 3, 255
COLOURS = np.array([[60, 60, 60], [220, 60, 40], [40, 90, 230], [128, 128, 128]], np.float32)
SETTINGS: dict[str, dict[str, Any]] = {
    "losses": {
        "optimizer": "sgd",
        "learning_rate": 0.02,
        "losses": (
            {"name": "cross_entropy"},
            {"name": "focal"},
            # A share: at a limit of probability, rounding could turn a pixel over.
            {"name": "hard_pixels", "min_probability": None},
            {"name": "dice", "weight": 2.0},
            {"name": "lovasz_softmax"},
        ),
    },
    "parts": {"optimizer": "adamw", "learning_rate": 1e-3, "batch_size": 2, "accumulate_steps": 2},
}


def make_data() -> tuple[np.ndarray, np.ndarray]:
    """Returns images [80, 32, 64, 3] of noisy coloured blocks, and their masks."""
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, CLASSES, (4 * STEPS, 4, 8))
    masks = np.kron(blocks, np.ones((8, 8), int)).astype(np.uint8)
    images = COLOURS[masks] + rng.normal(0, 40, (*masks.shape, 3))
    # Void is unevenly spread: the second device of the second step has nothing else.
    masks[0, :20] = VOID
    masks[6:8] = VOID
    return np.clip(images, 0, 255).astype(np.float32), masks


def make_batches(images: np.ndarray, masks: np.ndarray, size: int) -> tf.data.Dataset:
    """Returns augmented batches."""

    def augment(step: tf.Tensor, batch: dict) -> dict:
        seed, fill = tf.stack([7, tf.cast(step, tf.int32)]), tf.constant([100.0] * 3)
        images, masks = augment_batch(batch["image"], batch["mask"], AugmentConfig(), seed, VOID, fill)
        return {"image": images, "mask": masks}

    dataset = tf.data.Dataset.from_tensor_slices({"image": images, "mask": masks}).batch(size, True)
    return dataset.enumerate().map(augment)


def train_on(devices: int, settings: dict[str, Any]) -> dict[str, np.ndarray]:
    """Trains for the steps that the data are enough for; returns what came of it."""
    config = TrainerConfig(
        **{"batch_size": 4, **settings},
        model=ModelConfig(width=4, head="fcn8s", dropout=0.0),
        warmup_share=0.0,
        class_weighting="median_frequency",
        gradient_clip_norm=0.5,
        ema_momentum=0.5,
        devices=devices,
    )
    images, masks = make_data()
    ones = np.ones(CLASSES, np.float32)
    pixels = np.array([9.0, 3.0, 1.0], np.float32)
    statistics = DatasetStatistics(100 * ones, 60 * ones, pixels, 13 * ones, len(images))
    strategy = make_strategy(devices)
    assert strategy.num_replicas_in_sync == devices
    learner = make_learner(config, CLASSES, statistics, strategy, PrecisionChoice("float32", "test"))
    dataset = make_batches(images, masks, 4)
    train_steps = make_train_function(learner, config, statistics, VOID, 2 * STEPS)
    losses = train_steps(iter(distribute(strategy, dataset)), tf.constant(STEPS)).numpy()
    matrix = measure_split(learner, make_count_function(learner, CLASSES, VOID), dataset, CLASSES)
    weights = {f"weight_{i:03d}": weight.numpy() for i, weight in enumerate(learner.model.weights)}
    averages = {f"average_{i:03d}": v.numpy() for i, v in enumerate(learner.average.averages)}
    # Outside of compiled functions and of the strategy's scope, as pictures are predicted.
    logits = np.asarray(learner.model(images[:1], training=False))
    return {"losses": losses, "matrix": matrix, "logits": logits, **weights, **averages}


if __name__ == "__main__":
    set_logical_cpus(2)
    if sys.argv[2] == "tiny":
        learner_module.build_model = build_tiny_model
    arrays = {
        f"{name}/{devices}/{key}": value
        for name, settings in SETTINGS.items()
        for devices in (1, 2)
        for key, value in train_on(devices, settings).items()
    }
    np.savez(sys.argv[1], **arrays)
