"""TFX's entry into the search for hyper-parameters. Functions only, as in ``run_fn``."""

from __future__ import annotations

from data.errors import Problem, RefusedError
from trainer.checkpoints import name_training
from trainer.fn_args import FnArgs
from trainer.run_fn import build_job, find_records, read_sections
from trainer.search_space import Sections
from trainer.train import TrainingJob
from trainer.tuner import TrialTuner, TunerFnResult
from trainer.tuner_config import TunerConfig


def tuner_fn(fn_args: FnArgs) -> TunerFnResult:
    """Returns what TFX's Tuner runs.

    Raises:
        RefusedError: there are no examples to train on, or none to score by.
    """
    custom_config = fn_args.custom_config
    records = find_records(fn_args)
    if not records.val:
        what = "has no val split, and by its mean IoU trials are chosen"
        remedy = "Give the data set a val split, or remove the section tuner"
        raise RefusedError([Problem("data.root", what, remedy, "no_validation")])
    sections = read_sections(fn_args)
    config = TunerConfig.model_validate_json(custom_config["tuner"])
    root = f"{custom_config['checkpoint_root'].rstrip('/')}/trials"
    # Read once: hashing all records for each trial would take its time.
    base = name_training({}, custom_config["code_fingerprint"], [*records.train, *records.val])

    def make_trial_job(trial_sections: Sections) -> TrainingJob:
        folder = f"{root}/{name_training(trial_sections, base, [])}"
        return build_job(trial_sections, records, folder, f"{folder}/records")

    return TunerFnResult(TrialTuner(config, sections, make_trial_job, fn_args.working_dir), {})
