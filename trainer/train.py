"""The training loop: epochs of compiled steps, validation, the best weights, checkpoints, records."""

from __future__ import annotations

import math
import resource
import time
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from data.batch_examples import make_dataset
from data.classes import build_class_table
from data.config import AugmentConfig, DataConfig, TransformConfig
from data.progress import Stage, current
from data.read_transformed import DatasetStatistics, read_statistics
from trainer.checkpoints import Checkpoints, TrainingRecord
from trainer.config import TrainerConfig
from trainer.confusion_matrix import compute_metrics
from trainer.distribution import list_training_devices, make_strategy, refuse_uneven_batches
from trainer.history import EventWriter, replace_nan, write_history, write_summary
from trainer.learner import distribute, make_count_function, make_learner, make_train_function, measure_split
from trainer.pace import Pacer, TimeBudget
from trainer.pictures import PictureWriter
from trainer.precision import detect_precision
from trainer.schedule import learning_rate_at

# Epochs of a small data set are shorter than it takes to save one.
SECONDS_BETWEEN_CHECKPOINTS = 10.0


class TrainingDivergedError(RuntimeError):
    """The loss is no number any more."""


@dataclass(frozen=True)
class TrainingJob:
    """What to train on what, and where to write.

    Attributes:
        data: the class table and the ignore id.
        transform: the working size.
        augment: random changes to training images, None for none.
        trainer: the network and the loop.
        train_patterns: TFRecord files of transformed examples, or patterns.
        val_patterns: likewise; empty without a validation split. The last weights are the best then.
        checkpoint_dir: of this training alone (``checkpoints.name_training``).
        log_dir: ``history.jsonl``, ``training.json`` and TensorBoard's events go there.
    """

    data: DataConfig
    transform: TransformConfig
    augment: AugmentConfig | None
    trainer: TrainerConfig
    train_patterns: tuple[str, ...]
    val_patterns: tuple[str, ...]
    checkpoint_dir: str
    log_dir: str

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes' names in the order of their ids."""
        return tuple(entry.name for entry in self.data.classes)


@dataclass(frozen=True)
class TrainingResult:
    """A trained network.

    Attributes:
        model: with the best weights; its layers may have half precision.
        statistics: of the train split.
        history: one entry an epoch, as in ``history.jsonl``.
        summary: what ``training.json`` holds.
        checkpoints: to be removed once the model is exported.
    """

    model: keras.Model
    statistics: DatasetStatistics
    history: list[dict[str, Any]]
    summary: dict[str, Any]
    checkpoints: Checkpoints


def train(job: TrainingJob) -> TrainingResult:
    """Trains a network, or goes on where an earlier attempt at the same training was stopped.

    Raises:
        RefusedError: there are no examples, or fewer devices than asked for.
        TrainingDivergedError: the loss is no number.
    """
    loop = _Loop(job)
    loop.run()
    summary = loop.summarize()
    write_summary(job.log_dir, summary)
    return TrainingResult(loop.learner.model, loop.statistics, loop.record.history, summary, loop.checkpoints)


class _Loop:
    """One training. ``run`` once."""

    def __init__(self, job: TrainingJob) -> None:
        self.job = job
        config = job.trainer
        self.statistics = read_statistics(job.train_patterns)
        self.devices = list_training_devices(config.devices)
        refuse_uneven_batches(config.batch_size, self.devices)
        self.precision = detect_precision(config.precision, self.devices)
        self.learner = make_learner(
            config, len(job.class_names), self.statistics, make_strategy(config.devices), self.precision
        )
        self.total_steps = self._step_after(config.epochs)
        self.record = TrainingRecord()
        self.checkpoints = Checkpoints(job.checkpoint_dir, self.learner, self.record)
        self.resumed_from_epoch = self.record.epochs if self.checkpoints.restore_last() else None
        self._shown_steps = 0.0
        self._saved_at_seconds = self.record.seconds
        self._budget = TimeBudget(
            config.max_minutes * 60 if config.max_minutes else None, self.record.seconds
        )
        self._pacer = Pacer()
        self._pictures: PictureWriter | None = None

    def run(self) -> None:
        """Trains until the epochs or the time are over; the network then has its best weights."""
        learner, job = self.learner, self.job
        train_steps = make_train_function(
            learner, job.trainer, self.statistics, job.data.ignore_id, self.total_steps
        )
        iterator = iter(distribute(learner.strategy, self._make_training_set()))
        validation_set = self._make_dataset(job.val_patterns) if job.val_patterns else None
        count_batch = make_count_function(learner, len(job.class_names), job.data.ignore_id)
        scalars = EventWriter(job.log_dir)
        if validation_set is not None:
            self._pictures = PictureWriter(scalars, validation_set, build_class_table(job.data))
        with current().stage("train", total=self.total_steps) as stage:
            while not self._is_done():
                entry = self._run_epoch(train_steps, iterator, stage)
                if validation_set is not None and self._is_validated():
                    entry["val"] = self._validate(count_batch, validation_set)
                self._finish_epoch(entry, scalars)
        scalars.close()
        if not self.checkpoints.restore_best() and learner.average:
            learner.average.swap()

    def summarize(self) -> dict[str, Any]:
        """Returns what ``training.json`` holds."""
        config, pace = self.job.trainer, self._pacer.steps_per_second()
        return {
            "devices": self.devices,
            "precision": asdict(self.precision),
            "parameters": self.learner.model.count_params(),
            "train_examples": self.statistics.example_count,
            "batch_size": config.batch_size,
            "seed": config.seed,
            "steps": int(self.learner.step),
            "epochs": self.record.epochs,
            "stopped_by": "epochs" if self.record.epochs >= config.epochs else "time",
            "resumed_from_epoch": self.resumed_from_epoch,
            "best_epoch": self.record.best_epoch,
            "best_val_mean_iou": self.record.best_score,
            "seconds": round(self.record.seconds, 3),
            "images_per_second": pace and round(pace * config.batch_size, 2),
            "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
        }

    def _step_after(self, epochs: int) -> int:
        """Returns the step with which so many epochs are done.

        Batches run on from epoch to epoch. Where one batch holds the whole split, an epoch is a batch.
        """
        examples = max(self.statistics.example_count, self.job.trainer.batch_size)
        return -(-epochs * examples // self.job.trainer.batch_size)

    def _make_training_set(self) -> Any:
        job = self.job
        return self._make_dataset(
            job.train_patterns,
            augment=job.augment,
            shuffle=True,
            repeat=True,
            seed=job.trainer.seed,
            start_step=int(self.learner.step),
        )

    def _make_dataset(self, patterns: tuple[str, ...], **options: Any) -> Any:
        job = self.job
        return make_dataset(
            patterns,
            job.transform,
            batch_size=job.trainer.batch_size,
            ignore_id=job.data.ignore_id,
            bit_depth=job.data.bit_depth,
            cache_in_memory_bytes=job.trainer.cache_in_memory_bytes,
            **options,
        )

    def _run_epoch(self, train_steps: Any, iterator: Any, stage: Stage) -> dict[str, Any]:
        """Trains to the end of the epoch, or of the time; returns the epoch's entry without ``val``."""
        config, learner, epoch = self.job.trainer, self.learner, self.record.epochs + 1
        first_step, last_step = int(learner.step), self._step_after(epoch)
        step, losses, started = first_step, list[float](), time.monotonic()
        while step == first_step or (step < last_step and not self._budget.is_spent()):
            learner.time_share.assign(self._budget.share())
            count = self._pacer.next_count(last_step - step)
            called = time.monotonic()
            losses.extend(train_steps(iterator, tf.constant(count)).numpy().tolist())
            self._pacer.note(count, time.monotonic() - called)
            self._refuse_nan(losses, first_step)
            step += count
            self._show(stage, f"epoch {epoch}/{config.epochs}, loss {np.mean(losses[-count:]):.3f}")
        seconds = time.monotonic() - started
        return {
            "epoch": epoch,
            "step": step,
            "loss": float(np.mean(losses)),
            "learning_rate": float(
                learning_rate_at(self._progress(), config.learning_rate, config.warmup_share)
            ),
            "val": None,
            "seconds": round(seconds, 3),
            "images_per_second": round((step - first_step) * config.batch_size / seconds, 2),
        }

    def _is_done(self) -> bool:
        """Whether epochs or time are over; however short the time, there is one step at least."""
        epochs = self.record.epochs
        return epochs >= self.job.trainer.epochs or (epochs > 0 and self._budget.is_spent())

    def _is_validated(self) -> bool:
        config, epoch = self.job.trainer, self.record.epochs + 1
        is_last = epoch == config.epochs or self._budget.is_spent()
        return is_last or epoch % config.validate_every_epochs == 0

    def _validate(self, count_batch: Any, validation_set: Any) -> dict[str, float]:
        """Measures the validation split at working size, and keeps the weights if they are the best."""
        learner, started = self.learner, time.monotonic()
        if learner.average:
            learner.average.swap()
        matrix = measure_split(learner, count_batch, validation_set, len(self.job.class_names))
        metrics = compute_metrics(matrix, self.job.class_names)
        score = metrics["mean_iou"]
        score = score if math.isfinite(score) else -1.0
        if self.record.best_score is None or score > self.record.best_score:
            self.checkpoints.save_best()
            self.record.best_epoch, self.record.best_score = self.record.epochs + 1, score
        if self._pictures:
            elapsed = self._budget.elapsed_seconds()
            self._pictures.write(learner.model, int(learner.step), self._progress(), elapsed)
        if learner.average:
            learner.average.swap()
        self._budget.reserved_seconds = time.monotonic() - started
        return metrics

    def _finish_epoch(self, entry: dict[str, Any], scalars: EventWriter) -> None:
        """Records the epoch; saves the state now and then, so that a killed training goes on from there."""
        scalars.write(entry)
        self.record.epochs += 1
        self.record.seconds = self._budget.elapsed_seconds()
        self.record.history.append(replace_nan(entry))
        is_last = self.record.epochs == self.job.trainer.epochs or self._budget.is_spent()
        if is_last or self.record.seconds - self._saved_at_seconds >= SECONDS_BETWEEN_CHECKPOINTS:
            self.checkpoints.save_last()
            self._saved_at_seconds = self.record.seconds
        write_history(self.job.log_dir, self.record.history)

    def _progress(self) -> float:
        return max(int(self.learner.step) / self.total_steps, self._budget.share())

    def _show(self, stage: Stage, note: str) -> None:
        """Advances the display, in steps; where time is the limit, by as many as the time stands for."""
        shown = self._progress() * self.total_steps
        if self.record.best_score is not None:
            note += f", best val mean IoU {self.record.best_score:.3f}"
        if pace := self._pacer.steps_per_second():
            note += f", {pace * self.job.trainer.batch_size:.0f} images/s"
        stage.advance(shown - self._shown_steps, note)
        self._shown_steps = shown

    def _refuse_nan(self, losses: list[float], first_step: int) -> None:
        if np.isfinite(losses).all():
            return
        step = first_step + int(np.flatnonzero(~np.isfinite(losses))[0])
        raise TrainingDivergedError(
            f"The loss is not a number at step {step} of {self.total_steps}. Lower trainer.learning_rate "
            f"({self.job.trainer.learning_rate}) or set trainer.gradient_clip_norm."
        )
