"""Reads what the Tuner tried. Imports neither TFX nor TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.report.format_values import defined

TRIALS_FILE = "trials.json"


@dataclass(frozen=True)
class Trial:
    """One trial of hyper-parameters."""

    id: str
    state: str
    """completed or failed."""
    score: float | None
    """The search's objective."""
    epochs: int | None
    seconds: float | None
    values: tuple[str, ...]
    """In the order of the search's keys; empty for a key that the trial did not have."""
    message: str = ""
    """Why it failed."""


@dataclass(frozen=True)
class Tuning:
    """What the Tuner tried."""

    objective: str
    algorithm: str
    best: str
    """Id of the trial whose values the Trainer took."""
    keys: tuple[str, ...] = ()
    """Of the configuration, that were searched over."""
    trials: tuple[Trial, ...] = ()
    """Best first, then those without a score."""


def read_tuning(results: Mapping[str, Any]) -> Tuning | None:
    """Returns the trials of trials.json, best first; None for a run without a Tuner."""
    if not results:
        return None
    keys = tuple(sorted({key for trial in results["trials"] for key in trial["values"]}))
    trials = [_read_trial(trial, keys) for trial in results["trials"]]
    trials.sort(key=lambda trial: (trial.score is None, -(trial.score or 0.0)))
    return Tuning(
        objective=str(results["objective"]),
        algorithm=str(results["algorithm"]),
        best=str(results.get("best") or ""),
        keys=keys,
        trials=tuple(trials),
    )


def _read_trial(trial: Mapping[str, Any], keys: Sequence[str]) -> Trial:
    epochs = defined(trial.get("epochs"))
    values = trial["values"]
    return Trial(
        id=str(trial["id"]),
        state=str(trial["status"]),
        score=defined(trial.get("score")),
        epochs=None if epochs is None else int(epochs),
        seconds=defined(trial.get("seconds")),
        values=tuple(_write_value(values[key]) if key in values else "" for key in keys),
        message=str(trial.get("message") or ""),
    )


def _write_value(value: Any) -> str:
    """Returns a value as a configuration has it; of a number that was drawn, four digits are enough."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)
