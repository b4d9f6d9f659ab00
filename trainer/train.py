"""The training loop: epochs of compiled steps, validation between them, checkpoints, records."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from data.progress import Stage, current
from data.read_transformed import DatasetStatistics
from trainer.checkpoints import Checkpoints
from trainer.determinism import force_determinism
from trainer.history import EventWriter, replace_nan, write_history, write_summary
from trainer.learner import distribute, make_train_function
from trainer.pace import Pacer, SavePacer, TimeBudget
from trainer.prepare_training import Training, prepare_training
from trainer.schedule import learning_rate_at
from trainer.summarize_training import summarize_training
from trainer.team import Team, join_team
from trainer.training_job import TrainingJob as TrainingJob
from trainer.training_job import make_training_set
from trainer.validate_epoch import Validation


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
        training = prepare_training(job, team)
        loop = _Loop(training)
        loop.run()
        summary = summarize_training(training, loop.pacer.steps_per_second())
        write_summary(job.log_dir, summary)
    model, history = training.learner.model, training.record.history
    return TrainingResult(model, training.statistics, history, summary, training.checkpoints)


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

    def __init__(self, training: Training) -> None:
        self.training, self.job, self.team = training, training.job, training.team
        self.learner, self.record = training.learner, training.record
        self.total_steps = training.total_steps
        self._shown_steps = 0.0
        self._save_pacer = SavePacer(self.record.seconds)
        minutes = self.job.trainer.max_minutes
        self.team.tick()
        self._budget = TimeBudget(minutes * 60 if minutes else None, self.record.seconds, self.team.now)
        self._budget.reserved_seconds = self.record.validation_seconds or 0.0
        self.pacer = Pacer()
        self._validation_images = 0

    def run(self) -> None:
        """Trains until the epochs or the time are over; the network then has its best weights."""
        learner, job = self.learner, self.job
        train_steps = make_train_function(
            learner, job.trainer, self.training.statistics, job.data.ignore_id, self.total_steps
        )
        training_set = make_training_set(job, int(learner.step), self.team.part)
        iterator = iter(distribute(learner.strategy, training_set))
        scalars = EventWriter(job.log_dir)
        validation = Validation(self.training, scalars)
        self._validation_images = validation.images
        with current().stage("train", total=self.total_steps) as stage:
            is_done = self._is_done(self._budget.is_spent())
            while not is_done:
                entry = self._run_epoch(train_steps, iterator, stage)
                # Asked once: were it asked again below, the time could end unvalidated in between.
                is_spent = self._budget.is_spent()
                if validation.is_due(is_spent):
                    entry["val"] = validation.validate(self._progress(), self._budget.elapsed_seconds())
                    self._budget.reserved_seconds = self._expect_validation()
                    is_spent = self._budget.is_spent()
                is_done = self._finish_epoch(entry, scalars, is_spent)
        scalars.close()
        if not self.training.checkpoints.restore_best() and learner.average:
            learner.average.swap()

    def _run_epoch(self, train_steps: Any, iterator: Any, stage: Stage) -> dict[str, Any]:
        """Trains to the end of the epoch, or of the time; returns the epoch's entry without ``val``."""
        record, config = self.record, self.job.trainer
        epoch, last_step = record.epochs + 1, self.training.step_after(record.epochs + 1)
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
        count = self.pacer.next_count(last_step - step, self._budget.remaining_seconds())
        losses = train_steps(iterator, tf.constant(count)).numpy().tolist()
        seconds = self.team.tick() - started
        self.pacer.note(count, seconds)
        self._refuse_nan(losses, step)
        record.part_steps += count
        record.part_seconds += seconds
        # One by one: the sum is then the same however many steps a call takes.
        for loss in losses:
            record.part_loss += loss
        return float(np.mean(losses))

    def _is_done(self, is_spent: bool) -> bool:
        """Whether the training is over; however short the time, there is one step at least."""
        epochs = self.record.epochs
        is_over = epochs >= self.job.trainer.epochs or self.training.has_stalled()
        return is_over or (epochs > 0 and is_spent)

    def _expect_validation(self) -> float:
        """Returns what the validation at the end will take: what the last one took, or a guess."""
        if self.record.validation_seconds is not None:
            return self.record.validation_seconds
        images = self._validation_images / self.job.trainer.images_per_step
        return self.pacer.guess_validation_seconds(images)

    def _finish_epoch(self, entry: dict[str, Any], scalars: EventWriter, is_spent: bool) -> bool:
        """Records the epoch; returns whether it was the last."""
        record = self.record
        scalars.write(entry)
        record.epochs += 1
        record.part_steps, record.part_loss, record.part_seconds = 0, 0.0, 0.0
        record.history.append(replace_nan(entry))
        is_done = self._is_done(is_spent)
        self._save_now_and_then(is_last=is_done)
        write_history(self.job.log_dir, record.history)
        return is_done

    def _save_now_and_then(self, is_last: bool = False) -> None:
        """Saves the state if it is time for that, so that a killed training goes on from there."""
        self.record.seconds = self._budget.elapsed_seconds()
        if is_last or self._save_pacer.is_due(self.record.seconds):
            self.training.checkpoints.save_last()
            self.team.tick()
            self._save_pacer.note(self.record.seconds, self._budget.elapsed_seconds())

    def _progress(self) -> float:
        return max(int(self.learner.step) / self.total_steps, self._budget.share())

    def _show(self, stage: Stage, note: str) -> None:
        """Advances the display, in steps; where time is the limit, by as many as the time stands for."""
        shown = self._progress() * self.total_steps
        if self.record.best_score is not None:
            note += f", best val mean IoU {self.record.best_score:.3f}"
        if pace := self.pacer.steps_per_second():
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
