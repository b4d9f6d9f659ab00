"""TFX's entry into training. Functions only: TFX reloads this module, and classes would change identity."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from data.config import AugmentConfig, DataConfig, TransformConfig
from data.errors import RefusedError
from data.read_transformed import count_examples, find_files
from trainer.checkpoints import KEEP_RELEASED_SECONDS, name_training, remove_released
from trainer.config import TrainerConfig
from trainer.export import export_model
from trainer.fn_args import FnArgs, Records
from trainer.inference_config import InferenceConfig
from trainer.search_space import merge_values
from trainer.team import join_team
from trainer.train import TrainingJob, train


def run_fn(fn_args: FnArgs) -> None:
    """Trains on Transform's examples and exports the best network.

    Where ``TF_CONFIG`` names several workers, all of them call it, and the chief exports.

    Raises:
        RefusedError: there are no training examples, or fewer devices than asked for.
        TrainingDivergedError: the loss is no number.
        WorkerLostError: another worker is gone.
    """
    team = join_team()
    job = make_job(fn_args)
    with team.explain_loss():
        team.refuse_other_training(PurePosixPath(job.checkpoint_dir).name)
    result = train(job, team)
    if team.is_chief:
        export_model(
            result.model,
            job.trainer.model,
            job.data,
            job.transform,
            result.statistics,
            fn_args.serving_model_dir,
            _read_inference(fn_args),
        )
    # Should the chief be lost before, the others must be there for it to go on.
    with team.explain_loss():
        team.wait()
    # Not removed: an export, or the record of it, that fails must not cost the training. Who records
    # removes them; where nobody does, as on a cluster, the next training a day later does.
    result.checkpoints.release()
    if team.is_chief:
        remove_released(fn_args.custom_config["checkpoint_root"], KEEP_RELEASED_SECONDS)


def make_job(fn_args: FnArgs) -> TrainingJob:
    """Reads the configuration that the pipeline handed over, with the Tuner's best values in it."""
    custom_config = fn_args.custom_config
    sections = read_sections(fn_args)
    records = find_records(fn_args)
    name = name_training(sections, custom_config["code_fingerprint"], [*records.train, *records.val])
    folder = f"{custom_config['checkpoint_root'].rstrip('/')}/{name}"
    return build_job(sections, records, folder, fn_args.model_run_dir)


def read_sections(fn_args: FnArgs) -> dict[str, Any]:
    """Returns the sections of the configuration as JSON values, a Tuner's best values merged into them."""
    sections = json.loads(fn_args.custom_config["config"])
    sections = {name: sections.get(name) for name in ("data", "transform", "augment", "trainer")}
    best = getattr(fn_args, "hyperparameters", None)
    return merge_values(sections, best["values"]) if best else sections


def find_records(fn_args: FnArgs) -> Records:
    """Returns the files of Transform's examples.

    TFX wants a split to evaluate on whatever there is: without a val split it names train again.

    Raises:
        RefusedError: there are none to train on.
    """
    is_validated = fn_args.custom_config.get("validate", True)
    val = _find_examples(fn_args.eval_files) if is_validated else []
    return Records(find_files(fn_args.train_files), val)


def build_job(
    sections: Mapping[str, Any], records: Records, checkpoint_dir: str, log_dir: str
) -> TrainingJob:
    """Returns the training that sections of the configuration describe.

    Raises:
        ValidationError: values that do not go together.
    """
    return TrainingJob(
        data=DataConfig.model_validate(sections["data"]),
        transform=TransformConfig.model_validate(sections["transform"]),
        augment=AugmentConfig.model_validate(sections["augment"]) if sections["augment"] else None,
        trainer=TrainerConfig.model_validate(sections["trainer"]),
        train_patterns=tuple(records.train),
        val_patterns=tuple(records.val),
        checkpoint_dir=checkpoint_dir,
        log_dir=log_dir,
    )


def _read_inference(fn_args: FnArgs) -> InferenceConfig:
    """Returns what to build into the export. It is no part of the training, nor of its checkpoints' name."""
    return InferenceConfig.model_validate(json.loads(fn_args.custom_config["config"]).get("inference") or {})


def _find_examples(patterns: Sequence[str]) -> list[str]:
    """Returns the files of a split that may be empty."""
    try:
        files = find_files(patterns)
    except RefusedError:
        return []
    return files if count_examples(files) else []
