"""What ``run_fn`` and ``tuner_fn`` need of TFX's FnArgs, so that nothing here imports TFX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol


class FnArgs(Protocol):
    """Arguments of a TFX Trainer's ``run_fn`` or a Tuner's ``tuner_fn``.

    Attributes:
        train_files: patterns of the train split's transformed examples.
        eval_files: patterns of the validation split's.
        serving_model_dir: where the SavedModel goes.
        model_run_dir: where records and TensorBoard's events go; new for every execution.
        custom_config: ``config`` (JSON with the sections ``data``, ``transform``, ``augment``, which may be
            null, and ``trainer``), ``code_fingerprint`` and ``checkpoint_root``; ``validate``, False where
            there is no validation split and ``eval_files`` mean nothing; for a Tuner ``tuner``, too: that
            section as JSON.
        hyperparameters: a Tuner's best, as KerasTuner writes them; None without a Tuner.
        working_dir: a Tuner may write to it; gone after the execution.
    """

    train_files: Sequence[str]
    eval_files: Sequence[str]
    serving_model_dir: str
    model_run_dir: str
    custom_config: Mapping[str, Any]
    hyperparameters: Mapping[str, Any] | None
    working_dir: str


class Records(NamedTuple):
    """Files of Transform's examples."""

    train: list[str]
    val: list[str]
    """Empty where there is no val split, or nothing in it."""
