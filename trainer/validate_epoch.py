"""Validation between epochs: metrics of the validation split, the best weights, pictures."""

from __future__ import annotations

import math

from data.classes import build_class_table
from trainer.confusion_matrix import compute_metrics
from trainer.history import EventWriter
from trainer.measure_split import make_count_function, measure_split
from trainer.pictures import PictureWriter
from trainer.prepare_training import Training
from trainer.training_job import make_validation_set


class Validation:
    """Measures the validation split of one training.

    Args:
        training: whose best weights are kept.
        scalars: pictures go there, too; the chief's alone.
    """

    def __init__(self, training: Training, scalars: EventWriter) -> None:
        job = training.job
        self._training = training
        self._set = make_validation_set(job, training.team.part)
        self._count_batch = make_count_function(training.learner, len(job.class_names), job.data.ignore_id)
        self._pictures: PictureWriter | None = None
        self.images = 0
        """Of the split, filled up to whole batches; 0 without one."""
        if self._set is None:
            return
        self.images = int(self._set.cardinality()) * job.trainer.batch_size
        if training.team.is_chief:
            self._pictures = PictureWriter(scalars, self._set, build_class_table(job.data))

    def is_due(self, is_last: bool) -> bool:
        """Returns whether the epoch that ends now is validated.

        Args:
            is_last: whether the time is over.
        """
        config, epoch = self._training.job.trainer, self._training.record.epochs + 1
        is_last = is_last or epoch == config.epochs
        return self._set is not None and (is_last or epoch % config.validate_every_epochs == 0)

    def validate(self, progress: float, elapsed_seconds: float) -> dict[str, float]:
        """Measures the split at working size, and keeps the weights if they are the best.

        Args:
            progress: of the training, 0 to 1.
            elapsed_seconds: of the training.

        Returns:
            The metrics.
        """
        job, learner = self._training.job, self._training.learner
        started = self._training.team.tick()
        if learner.average:
            learner.average.swap()
        matrix = measure_split(learner, self._count_batch, self._set, len(job.class_names))
        metrics = compute_metrics(matrix, job.class_names)
        self._keep_best(metrics["mean_iou"])
        if self._pictures:
            self._pictures.write(learner.model, int(learner.step), progress, elapsed_seconds)
        if learner.average:
            learner.average.swap()
        self._training.record.validation_seconds = self._training.team.tick() - started
        return metrics

    def _keep_best(self, score: float) -> None:
        record = self._training.record
        score = score if math.isfinite(score) else -1.0
        if record.best_score is None or score > record.best_score:
            self._training.checkpoints.save_best()
            record.best_epoch, record.best_score = record.epochs + 1, score
