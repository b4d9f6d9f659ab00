"""What ``run_fn`` needs of TFX's FnArgs, so that nothing here imports TFX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class FnArgs(Protocol):
    """Arguments of a TFX Trainer's ``run_fn``.

    Attributes:
        train_files: patterns of the train split's transformed examples.
        eval_files: patterns of the validation split's.
        serving_model_dir: where the SavedModel goes.
        model_run_dir: where records and TensorBoard's events go; new for every execution.
        custom_config: ``config`` (JSON with the sections ``data``, ``transform``, ``augment``, which may be
            null, and ``trainer``), ``code_fingerprint`` and ``checkpoint_root``.
    """

    train_files: Sequence[str]
    eval_files: Sequence[str]
    serving_model_dir: str
    model_run_dir: str
    custom_config: Mapping[str, Any]
