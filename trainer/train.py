"""The training loop: epochs of compiled steps, validation, the best weights, checkpoints, records."""

from __future__ import annotations

import math
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from data.classes import build_class_table
from data.progress import Stage, current
from data.read_transformed import DatasetStatistics, read_statistics
from trainer.checkpoints import Checkpoints, TrainingRecord
from trainer.confusion_matrix import compute_metrics
from trainer.determinism import describe_determinism, force_determinism
from trainer.distribution import refuse_uneven_batches
from trainer.history import EventWriter, replace_nan, write_history, write_summary
from trainer.learner import distribute, make_learner, make_train_function
from trainer.measure_split import make_count_function, measure_split
from trainer.model_size import measure_size
from trainer.pace import Pacer, SavePacer, TimeBudget
from trainer.pictures import PictureWriter
from trainer.schedule import learning_rate_at
from trainer.team import Team, join_team
from trainer.team_checkpoints import make_checkpoints, resume_together
from trainer.training_job import TrainingJob as TrainingJob
from trainer.training_job import make_training_set, make_validation_set, refuse_blind_stopping


class TrainingDivergedError(RuntimeError):
    """The loss is no number any more."""


@dataclass(frozen=True)
class TrainingResult:
    """A trained network.

    Attributes:
        model: with the best weights, of several workers on the chief alone; its layers may have half
            precision.
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


def train(job: TrainingJob, team: Team | None = None) -> TrainingResult:
    """Trains a network, or goes on where an earlier attempt at the same training was stopped.

    Args:
        job: what to train.
        team: the workers that train together; if None, those that ``TF_CONFIG`` names.

    Raises:
        RefusedError: there are no examples, fewer devices than asked for, or no validation split to stop
            early by.
        TrainingDivergedError: the loss is no number.
        WorkerLostError: another worker is gone.
    """
    team = team or join_team()
    with force_determinism(job.trainer.deterministic), team.explain_loss(), _own_logs(job, team) as job:
        loop = _Loop(job, team)
        loop.run()
        summary = loop.summarize()
        write_summary(job.log_dir, summary)
    return TrainingResult(loop.learner.model, loop.statistics, loop.record.history, summary, loop.checkpoints)


@contextmanager
def _own_logs(job: TrainingJob, team: Team) -> Iterator[TrainingJob]:
    """Lets only the chief write where the job says; the others' records go to a folder that goes again."""
    if team.is_chief:
        yield job
        return
    with tempfile.TemporaryDirectory() as folder:
        yield replace(job, log_dir=folder)


class _Loop:
    """One training. ``run`` once."""

    def __init__(self, job: TrainingJob, team: Team) -> None:
        self.job, self.team = job, team
        config = job.trainer
        refuse_blind_stopping(job)
        self.statistics = read_statistics(job.train_patterns)
        self.devices = team.list_devices(config.devices)
        refuse_uneven_batches(config.batch_size, self.devices)
        self.precision = team.choose_precision(config.precision, self.devices)
        strategy = team.make_strategy(config.devices)
        self.learner = make_learner(config, len(job.class_names), self.statistics, strategy, self.precision)
        self.total_steps = self._step_after(config.epochs)
        self.record = TrainingRecord()
        self.checkpoints = make_checkpoints(team, job.checkpoint_dir, self.learner, self.record)
        is_resumed = resume_together(team, self.checkpoints, self.learner, self.record)
        self.resumed_from_epoch = self.record.epochs if is_resumed else None
        self.resumed_from_step = int(self.learner.step) if is_resumed else None
        self._shown_steps = 0.0
        self._save_pacer = SavePacer(self.record.seconds)
        limit_seconds = config.max_minutes * 60 if config.max_minutes else None
        team.tick()
        self._budget = TimeBudget(limit_seconds, self.record.seconds, team.now)
        self._budget.reserved_seconds = self.record.validation_seconds or 0.0
        self._pacer = Pacer()
        self._validation_images = 0
        self._pictures: PictureWriter | None = None

    def run(self) -> None:
        """Trains until the epochs or the time are over; the network then has its best weights."""
        learner, job = self.learner, self.job
        train_steps = make_train_function(
            learner, job.trainer, self.statistics, job.data.ignore_id, self.total_steps
        )
        training_set = make_training_set(job, int(learner.step), self.team.part)
        iterator = iter(distribute(learner.strategy, training_set))
        validation_set = make_validation_set(job, self.team.part)
        count_batch = make_count_function(learner, len(job.class_names), job.data.ignore_id)
        scalars = EventWriter(job.log_dir)
        if validation_set is not None:
            self._validation_images = int(validation_set.cardinality()) * job.trainer.batch_size
            if self.team.is_chief:
                self._pictures = PictureWriter(scalars, validation_set, build_class_table(job.data))
        with current().stage("train", total=self.total_steps) as stage:
            is_done = self._is_done()
            while not is_done:
                entry = self._run_epoch(train_steps, iterator, stage)
                if validation_set is not None and self._is_validated():
                    entry["val"] = self._validate(count_batch, validation_set)
                is_done = self._finish_epoch(entry, scalars)
        scalars.close()
        if not self.checkpoints.restore_best() and learner.average:
            learner.average.swap()

    def summarize(self) -> dict[str, Any]:
        """Returns what ``training.json`` holds."""
        config, pace = self.job.trainer, self._pacer.steps_per_second()
        size, first = self.job.transform, self.learner.first_weights
        return {
            "devices": self.devices,
            "precision": asdict(self.precision),
            **asdict(measure_size(self.learner.model, size.height_px, size.width_px)),
            "first_weights": None if first is None else asdict(first),
            "train_examples": self.statistics.example_count,
            "batch_size": config.batch_size,
            "accumulate_steps": config.accumulate_steps,
            "seed": config.seed,
            "deterministic": asdict(describe_determinism(config, self.devices)),
            "steps": int(self.learner.step),
            "epochs": self.record.epochs,
            "stopped_by": self._name_end(),
            "resumed_from_epoch": self.resumed_from_epoch,
            "resumed_from_step": self.resumed_from_step,
            "best_epoch": self.record.best_epoch,
            "best_val_mean_iou": self.record.best_score,
            "seconds": round(self.record.seconds, 3),
            "images_per_second": pace and round(pace * config.images_per_step, 2),
            "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
        }

    def _step_after(self, epochs: int) -> int:
        """Returns the step with which so many epochs are done.

        Steps run on from epoch to epoch. Where one step sees the whole split, an epoch is a step.
        """
        images = self.job.trainer.images_per_step
        return -(-epochs * max(self.statistics.example_count, images) // images)

    def _run_epoch(self, train_steps: Any, iterator: Any, stage: Stage) -> dict[str, Any]:
        """Trains to the end of the epoch, or of the time; returns the epoch's entry without ``val``."""
        record, config = self.record, self.job.trainer
        epoch, last_step = record.epochs + 1, self._step_after(record.epochs + 1)
        while record.part_steps == 0 or (int(self.learner.step) < last_step and not self._budget.is_spent()):
            loss = self._take_steps(train_steps, iterator, last_step)
            self._budget.reserved_seconds = self._expect_validation()
            self._show(stage, f"epoch {epoch}/{config.epochs}, loss {loss:.3f}")
            self._save_now_and_then()
        images = record.part_steps * config.images_per_step
        return {
            "epoch": epoch,
            "step": int(self.learner.step),
            "loss": record.part_loss / record.part_steps,
            "learning_rate": float(learning_rate_at(self._progress(), config)),
            "val": None,
            "seconds": round(record.part_seconds, 3),
            "images_per_second": round(images / record.part_seconds, 2),
        }

    def _take_steps(self, train_steps: Any, iterator: Any, last_step: int) -> float:
        """Trains for about a second; returns the mean loss."""
        record, step, started = self.record, int(self.learner.step), self.team.tick()
        self.learner.time_share.assign(self._budget.share())
        count = self._pacer.next_count(last_step - step, self._budget.remaining_seconds())
        losses = train_steps(iterator, tf.constant(count)).numpy().tolist()
        seconds = self.team.tick() - started
        self._pacer.note(count, seconds)
        self._refuse_nan(losses, step)
        record.part_steps += count
        record.part_seconds += seconds
        # One by one: the sum is then the same however many steps a call takes.
        for loss in losses:
            record.part_loss += loss
        return float(np.mean(losses))

    def _is_done(self) -> bool:
        """Whether the training is over; however short the time, there is one step at least."""
        epochs = self.record.epochs
        is_over = epochs >= self.job.trainer.epochs or self._has_stalled()
        return is_over or (epochs > 0 and self._budget.is_spent())

    def _has_stalled(self) -> bool:
        """Whether the last validation was one too many without a better score."""
        record, patience = self.record, self.job.trainer.early_stopping_epochs
        if patience is None or record.best_epoch is None or record.history[-1]["val"] is None:
            return False
        return record.epochs - record.best_epoch >= patience

    def _name_end(self) -> str:
        if self.record.epochs >= self.job.trainer.epochs:
            return "epochs"
        return "no_improvement" if self._has_stalled() else "time"

    def _is_validated(self) -> bool:
        config, epoch = self.job.trainer, self.record.epochs + 1
        is_last = epoch == config.epochs or self._budget.is_spent()
        return is_last or epoch % config.validate_every_epochs == 0

    def _validate(self, count_batch: Any, validation_set: Any) -> dict[str, float]:
        """Measures the validation split at working size, and keeps the weights if they are the best."""
        learner, started = self.learner, self.team.tick()
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
        self.record.validation_seconds = self.team.tick() - started
        self._budget.reserved_seconds = self._expect_validation()
        return metrics

    def _expect_validation(self) -> float:
        """Returns what the validation at the end will take: what the last one took, or a guess."""
        if self.record.validation_seconds is not None:
            return self.record.validation_seconds
        images = self._validation_images / self.job.trainer.images_per_step
        return self._pacer.guess_validation_seconds(images)

    def _finish_epoch(self, entry: dict[str, Any], scalars: EventWriter) -> bool:
        """Records the epoch; returns whether it was the last."""
        record = self.record
        scalars.write(entry)
        record.epochs += 1
        record.part_steps, record.part_loss, record.part_seconds = 0, 0.0, 0.0
        record.history.append(replace_nan(entry))
        is_done = self._is_done()
        self._save_now_and_then(is_last=is_done)
        write_history(self.job.log_dir, record.history)
        return is_done

    def _save_now_and_then(self, is_last: bool = False) -> None:
        """Saves the state if it is time for that, so that a killed training goes on from there."""
        self.record.seconds = self._budget.elapsed_seconds()
        if is_last or self._save_pacer.is_due(self.record.seconds):
            self.checkpoints.save_last()
            self.team.tick()
            self._save_pacer.note(self.record.seconds, self._budget.elapsed_seconds())

    def _progress(self) -> float:
        return max(int(self.learner.step) / self.total_steps, self._budget.share())

    def _show(self, stage: Stage, note: str) -> None:
        """Advances the display, in steps; where time is the limit, by as many as the time stands for."""
        shown = self._progress() * self.total_steps
        if self.record.best_score is not None:
            note += f", best val mean IoU {self.record.best_score:.3f}"
        if pace := self._pacer.steps_per_second():
            note += f", {pace * self.job.trainer.images_per_step:.0f} images/s"
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
