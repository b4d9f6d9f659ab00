"""What to train on what: a job, and its data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from data.batch_examples import make_dataset
from data.batch_part import WHOLE, Part
from data.config import AugmentConfig, DataConfig, TransformConfig
from data.errors import Problem, RefusedError
from trainer.config import TrainerConfig


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


def make_training_set(job: TrainingJob, start_step: int, part: Part = WHOLE) -> Any:
    """Makes the endless batches of all steps from ``start_step`` on: a part of ``images_per_step`` each."""
    return _make_dataset(
        job,
        job.train_patterns,
        batch_size=job.trainer.images_per_step,
        augment=job.augment,
        shuffle=True,
        repeat=True,
        seed=job.trainer.seed,
        start_step=start_step,
        part=part,
    )


def make_validation_set(job: TrainingJob, part: Part = WHOLE) -> Any | None:
    """Makes a part of the batches of the validation split, None where there is no such split."""
    if not job.val_patterns:
        return None
    return _make_dataset(job, job.val_patterns, batch_size=job.trainer.batch_size, part=part)


def _make_dataset(job: TrainingJob, patterns: tuple[str, ...], **options: Any) -> Any:
    return make_dataset(
        patterns,
        job.transform,
        ignore_id=job.data.ignore_id,
        bit_depth=job.data.bit_depth,
        cache_in_memory_bytes=job.trainer.cache_in_memory_bytes,
        **options,
    )


def refuse_blind_stopping(job: TrainingJob) -> None:
    """Checks that there is a validation split if the training shall stop by it.

    Raises:
        RefusedError: there is none.
    """
    if job.trainer.early_stopping_epochs is not None and not job.val_patterns:
        problem = Problem(
            "trainer.early_stopping_epochs",
            "needs a validation split, and there is none",
            "Give data.splits.val a share, or leave the key out",
            "no_validation",
        )
        raise RefusedError([problem])
