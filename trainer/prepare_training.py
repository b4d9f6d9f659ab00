"""From a job and a team to everything that a training has before its first step."""

from __future__ import annotations

from dataclasses import dataclass

from data.read_transformed import DatasetStatistics, read_statistics
from trainer.checkpoints import Checkpoints, TrainingRecord
from trainer.distribution import refuse_uneven_batches
from trainer.learner import Learner, make_learner
from trainer.precision import PrecisionChoice
from trainer.team import Team
from trainer.team_checkpoints import make_checkpoints, resume_together
from trainer.training_job import TrainingJob, refuse_blind_stopping


@dataclass(frozen=True)
class Training:
    """A training that is ready to go on.

    Attributes:
        job: what is trained.
        team: the workers that train together.
        statistics: of the train split.
        devices: of all workers, by name.
        precision: chosen by them.
        learner: what the training changes.
        record: what is known of it beside the learner's variables.
        checkpoints: where both are kept.
        resumed_from_epoch: epochs of earlier attempts; None without one.
        resumed_from_step: their steps.
    """

    job: TrainingJob
    team: Team
    statistics: DatasetStatistics
    devices: list[str]
    precision: PrecisionChoice
    learner: Learner
    record: TrainingRecord
    checkpoints: Checkpoints
    resumed_from_epoch: int | None
    resumed_from_step: int | None

    @property
    def total_steps(self) -> int:
        """Steps of all epochs."""
        return self.step_after(self.job.trainer.epochs)

    def step_after(self, epochs: int) -> int:
        """Returns the step with which so many epochs are done.

        Steps run on from epoch to epoch. Where one step sees the whole split, an epoch is a step.
        """
        images = self.job.trainer.images_per_step
        return -(-epochs * max(self.statistics.example_count, images) // images)

    def has_stalled(self) -> bool:
        """Whether the last validation was one too many without a better score."""
        record, patience = self.record, self.job.trainer.early_stopping_epochs
        if patience is None or record.best_epoch is None or record.history[-1]["val"] is None:
            return False
        return record.epochs - record.best_epoch >= patience

    def name_end(self) -> str:
        """Returns what ended a training that is over: ``epochs``, ``no_improvement`` or ``time``."""
        if self.record.epochs >= self.job.trainer.epochs:
            return "epochs"
        return "no_improvement" if self.has_stalled() else "time"


def prepare_training(job: TrainingJob, team: Team) -> Training:
    """Makes a network on the devices, or takes the state of an earlier attempt.

    Raises:
        RefusedError: there are no examples, fewer devices than asked for, or no validation split to stop
            early by.
    """
    config = job.trainer
    refuse_blind_stopping(job)
    statistics = read_statistics(job.train_patterns)
    devices = team.list_devices(config.devices)
    refuse_uneven_batches(config.batch_size, devices)
    precision = team.choose_precision(config.precision, devices)
    strategy = team.make_strategy(config.devices)
    learner = make_learner(config, len(job.class_names), statistics, strategy, precision)
    record = TrainingRecord()
    checkpoints = make_checkpoints(team, job.checkpoint_dir, learner, record)
    is_resumed = resume_together(team, checkpoints, learner, record)
    return Training(
        job=job,
        team=team,
        statistics=statistics,
        devices=devices,
        precision=precision,
        learner=learner,
        record=record,
        checkpoints=checkpoints,
        resumed_from_epoch=record.epochs if is_resumed else None,
        resumed_from_step=int(learner.step) if is_resumed else None,
    )
