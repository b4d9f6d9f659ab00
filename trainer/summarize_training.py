"""What ``training.json`` says of a training that is over."""

from __future__ import annotations

import resource
from dataclasses import asdict
from typing import Any

import keras
import tensorflow as tf

from trainer.determinism import describe_determinism
from trainer.model_size import measure_size
from trainer.prepare_training import Training


def summarize_training(training: Training, steps_per_second: float | None) -> dict[str, Any]:
    """Returns the summary as JSON values.

    Args:
        training: is over.
        steps_per_second: without the first call, which compiles; None if there was no other.
    """
    job, learner, record = training.job, training.learner, training.record
    config, first = job.trainer, learner.first_weights
    return {
        "devices": training.devices,
        "precision": asdict(training.precision),
        **asdict(measure_size(learner.model, job.transform.height_px, job.transform.width_px)),
        "first_weights": None if first is None else asdict(first),
        "train_examples": training.statistics.example_count,
        "batch_size": config.batch_size,
        "accumulate_steps": config.accumulate_steps,
        "seed": config.seed,
        "deterministic": asdict(describe_determinism(config, training.devices)),
        "steps": int(learner.step),
        "epochs": record.epochs,
        "stopped_by": training.name_end(),
        "resumed_from_epoch": training.resumed_from_epoch,
        "resumed_from_step": training.resumed_from_step,
        "best_epoch": record.best_epoch,
        "best_val_mean_iou": record.best_score,
        "seconds": round(record.seconds, 3),
        "images_per_second": steps_per_second and round(steps_per_second * config.images_per_step, 2),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
    }
