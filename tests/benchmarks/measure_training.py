"""The training loop against Keras' own; and the input pipeline against what a training step takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bare_work
import tensorflow as tf
from harness import Job, Row, alternate, compare_at_least, run_measurement, time_call
from prepare import digits_config, transformed_pattern

from data.batch_examples import make_dataset
from data.read_transformed import read_statistics
from trainer.distribution import make_strategy
from trainer.learner import make_learner, make_train_function
from trainer.precision import PrecisionChoice

_TRAINING_TARGET = 0.95
_INPUT_TARGET = 3.0


class _Setting:
    """The sample's network, batches and functions."""

    def __init__(self, job: Job) -> None:
        self.steps = 2 if job.quick else 50
        self.config = digits_config(job)
        self.trainer = self.config.trainer
        self.num_classes, self.ignore_id = len(self.config.data.classes), self.config.data.ignore_id
        self.pattern = transformed_pattern(job, "train")
        self.statistics = read_statistics([self.pattern])
        first = next(iter(self.batches()))
        self.fixed = tf.data.Dataset.from_tensors(first).repeat()

    def batches(self, **options: Any) -> tf.data.Dataset:
        """Returns the batches that training sees: shuffled, augmented, without end."""
        config = self.config
        return make_dataset(
            [self.pattern],
            config.transform,
            batch_size=self.trainer.batch_size,
            ignore_id=self.ignore_id,
            augment=config.augment,
            shuffle=True,
            repeat=True,
            **options,
        )

    def rate(self, work: Callable[[], object], steps: int) -> float:
        """Returns the images per second of work that takes so many batches."""
        return steps * self.trainer.batch_size / time_call(work)

    def our_loop(self, batches: tf.data.Dataset) -> Callable[[], float]:
        """Returns a measurement of our loop, under MirroredStrategy on one device."""
        precision = PrecisionChoice("float32", "so that the limit is the same work")
        learner = make_learner(self.trainer, self.num_classes, self.statistics, make_strategy(1), precision)
        function = make_train_function(learner, self.trainer, self.statistics, self.ignore_id, 1_000_000)
        iterator, count = iter(batches), tf.constant(self.steps)
        return lambda: self.rate(lambda: function(iterator, count).numpy(), self.steps)

    def keras_loop(self, batches: tf.data.Dataset) -> Callable[[], float]:
        """Returns a measurement of ``Model.fit``, without a strategy."""
        model = bare_work.compile_keras(self.trainer, self.num_classes, self.ignore_id)
        pairs = batches.map(lambda batch: (batch["image"], batch["mask"]))
        images = self.steps * self.trainer.batch_size
        return lambda: images / bare_work.time_fit(model, pairs, self.steps)


def measure(job: Job) -> list[Row]:
    """Measures the loop on one batch and on the real input, then the input alone."""
    setting = _Setting(job)
    rows = []
    for name, make in (("fixed batch", lambda: setting.fixed), ("real input", setting.batches)):
        ours, bare = setting.our_loop(make()), setting.keras_loop(make())
        rates = alternate(ours, bare, job.pairs, f"training, {name}")
        about = "Model.fit, compiled as Keras chooses"
        rows.append(compare_at_least(f"training, {name}", "images/s", rates, _TRAINING_TARGET, about))
    appetite = setting.our_loop(setting.fixed)
    for name, options in (("cached", {}), ("streamed", {"cache_in_memory_bytes": 0})):
        rates = alternate(
            _input_rate(setting, setting.batches(**options), job), appetite, job.pairs, f"input, {name}"
        )
        about = "augmented; the limit is the training step's appetite"
        rows.append(compare_at_least(f"tf.data, {name}", "images/s", rates, _INPUT_TARGET, about))
    return rows


def _input_rate(setting: _Setting, batches: tf.data.Dataset, job: Job) -> Callable[[], float]:
    """Returns a measurement of the input pipeline with nobody behind it but a sum."""
    steps = 4 if job.quick else 400
    iterator = iter(batches)

    @tf.function
    def take() -> tf.Tensor:
        total = 0.0
        for _ in tf.range(steps):
            total += next(iterator)["image"][0, 0, 0, 0]
        return total

    return lambda: setting.rate(lambda: take().numpy(), steps)


if __name__ == "__main__":
    run_measurement(measure)
