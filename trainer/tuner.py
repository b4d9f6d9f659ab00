"""The search for hyper-parameters: KerasTuner proposes values, our training loop tries them.

A trial that is over leaves one small file, named after everything that its result depends on; one that was
killed leaves checkpoints. So a search that starts again, or with more trials, asks the same seeded oracle
the same questions, and only trains what was not trained yet.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import keras
import keras_tuner
import tensorflow as tf
from keras_tuner.engine import base_tuner
from keras_tuner.engine.trial import Trial
from keras_tuner.errors import FailedTrialError, FatalError
from pydantic import ValidationError

from data.errors import RefusedError
from data.progress import current
from trainer.history import replace_nan, write_whole
from trainer.search_space import Sections, merge_values, read_values, takes_fractions, write_choices
from trainer.train import TrainingDivergedError, TrainingJob, train
from trainer.tuner_config import TunerConfig

RESULT_NAME = "result.json"
_BUDGET_KEY = "tuner/epochs"
"""Where Hyperband says how many epochs a trial has."""


@dataclass(frozen=True)
class TrialRecord:
    """What came of one trial.

    Attributes:
        id: KerasTuner's.
        status: completed or failed.
        score: the objective; None if it failed.
        seconds: of the training; None if it failed.
        epochs: that were trained.
        best_epoch: whose weights scored.
        values: by key of the configuration.
        message: why it failed, in a sentence.
    """

    id: str
    status: str
    score: float | None
    seconds: float | None
    epochs: int | None
    best_epoch: int | None
    values: dict[str, Any]
    message: str | None = None


class TrialTuner(base_tuner.BaseTuner):
    """Runs KerasTuner's trials by ``train``.

    Args:
        config: the section ``tuner``.
        sections: of the configuration, as JSON values; trials start from them.
        make_trial_job: makes the training of a trial from its sections.
        directory: for KerasTuner's own state; what counts lies beside the trials' checkpoints.
    """

    def __init__(
        self,
        config: TunerConfig,
        sections: Sections,
        make_trial_job: Callable[[Sections], TrainingJob],
        directory: str,
    ) -> None:
        super().__init__(
            make_oracle(config, sections), directory=directory, project_name="tuner", overwrite=True
        )
        self.config = config
        self.records: list[TrialRecord] = []
        self._sections = sections
        self._make_trial_job = make_trial_job

    def search(self, *fit_args: Any, **fit_kwargs: Any) -> None:
        """Runs trials until there are enough, or no other values are left.

        Raises:
            RuntimeError: not one trial came to an end.
            Exception: what stopped a trial and would stop every other one.
        """
        self.oracle.verbose = 0
        with current().stage("tuner", total=self.config.max_trials) as self._stage:
            try:
                super().search(*fit_args, **fit_kwargs)
            except FatalError as error:
                raise error.__cause__ or error from None
        if not any(record.score is not None for record in self.records):
            reasons = "; ".join(sorted({record.message or "" for record in self.records}))
            raise RuntimeError(f"None of the {len(self.records)} trials of the tuner succeeded: {reasons}")

    def run_trial(self, trial: Trial, *fit_args: Any, **fit_kwargs: Any) -> dict[str, float]:
        """Tries one set of values; returns the objective."""
        values = read_values(trial.hyperparameters.values)
        try:
            result = self._train(self._merge(trial.hyperparameters.values))
        except Exception as error:
            # What is wrong with the machine, the data or the code is so in every trial.
            raise FatalError(str(error)) from error
        score = result.pop("score")
        status = "failed" if score is None else "completed"
        record = TrialRecord(id=trial.trial_id, status=status, score=score, values=values, **result)
        self.records.append(record)
        best = max((one.score for one in self.records if one.score is not None), default=None)
        self._stage.advance(1, "" if best is None else f"best val mean IoU {best:.3f}")
        if score is None:
            raise FailedTrialError(record.message)
        return {self.config.objective: score}

    def to_document(self) -> dict[str, Any]:
        """Returns what ``trials.json`` holds."""
        scored = [record for record in self.records if record.score is not None]
        best = max(scored, key=lambda record: record.score or 0.0, default=None)
        return {
            "objective": self.config.objective,
            "algorithm": self.config.algorithm,
            "max_trials": self.config.max_trials,
            "best": best and best.id,
            "trials": [asdict(record) for record in self.records],
        }

    def _merge(self, values: Mapping[str, Any]) -> dict[str, Any]:
        sections = merge_values(self._sections, values)
        epochs = values.get(_BUDGET_KEY, self.config.epochs)
        for key, bound in (("epochs", epochs), ("max_minutes", self.config.max_minutes)):
            if bound is not None:
                sections["trainer"][key] = bound
        return sections

    def _train(self, sections: Sections) -> dict[str, Any]:
        """Returns what is known of a training that is over, or trains, or goes on with it."""
        try:
            job = self._make_trial_job(sections)
        except ValidationError as error:
            return _describe_failure(error.errors()[0]["msg"].removeprefix("Value error, "))
        kept = f"{job.checkpoint_dir}/{RESULT_NAME}"
        if tf.io.gfile.exists(kept):
            with tf.io.gfile.GFile(kept) as stream:
                return dict(json.loads(stream.read()))
        started = time.monotonic()
        try:
            result = _describe(train(job).summary)
        except TrainingDivergedError as error:
            result = _describe_failure(str(error), round(time.monotonic() - started, 3))
        except RefusedError as error:
            # A batch that these devices cannot divide, say; another machine may.
            return _describe_failure(str(error))
        except tf.errors.ResourceExhaustedError as error:
            return _describe_failure(f"There was not enough memory: {error.message.splitlines()[0]}")
        finally:
            keras.utils.clear_session()
        tf.io.gfile.rmtree(job.checkpoint_dir)
        write_whole(kept, json.dumps(replace_nan(result), allow_nan=False) + "\n")
        return result


class TunerFnResult(NamedTuple):
    """What ``tuner_fn`` returns; TFX has the same.

    Attributes:
        tuner: is told to search.
        fit_kwargs: arguments of its ``search``.
    """

    tuner: TrialTuner
    fit_kwargs: dict[str, Any]


def make_oracle(config: TunerConfig, sections: Sections) -> keras_tuner.Oracle:
    """Returns what proposes values, from a seed."""
    shared: dict[str, Any] = {
        "objective": keras_tuner.Objective(config.objective, "max"),
        "hyperparameters": build_space(config, sections),
        # KerasTuner takes 0 for none, and counts on from the seed: neighbours would try the same values.
        "seed": random.Random(config.seed).randrange(1, 2**31),
        # A trial that fails says nothing of the next one.
        "max_consecutive_failed_trials": config.max_trials + 1,
    }
    if config.algorithm == "random":
        return keras_tuner.oracles.RandomSearchOracle(max_trials=config.max_trials, **shared)
    if config.algorithm == "bayesian":
        return keras_tuner.oracles.BayesianOptimizationOracle(max_trials=config.max_trials, **shared)
    oracle = keras_tuner.oracles.HyperbandOracle(
        max_epochs=config.epochs or sections["trainer"]["epochs"], **shared
    )
    oracle.max_trials = config.max_trials
    return oracle


def build_space(config: TunerConfig, sections: Sections) -> keras_tuner.HyperParameters:
    """Returns the search space as KerasTuner has it."""
    space = keras_tuner.HyperParameters()
    for key, entry in sorted(config.space.items()):
        if entry.choice is not None:
            space.Choice(key, write_choices(entry))
            continue
        add = space.Float if takes_fractions(key, entry, sections) else space.Int
        step = {} if entry.step is None else {"step": entry.step}
        add(key, entry.min, entry.max, sampling=entry.sampling, **step)
    return space


def _describe(summary: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "score": max(float(summary["best_val_mean_iou"]), 0.0),
        "seconds": summary["seconds"],
        "epochs": summary["epochs"],
        "best_epoch": summary["best_epoch"],
        "message": None,
    }


def _describe_failure(message: str, seconds: float | None = None) -> dict[str, Any]:
    return {"score": None, "seconds": seconds, "epochs": None, "best_epoch": None, "message": message}
