"""Trainings that are killed at random moments end with what an uninterrupted one ends with, bit for bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainer.training_job import TrainingJob

SCRIPT = Path(__file__).with_name("killed_training.py")
# Everything that has a state: averages, momenta, patience; dropout's seed and moments are in the network.
SETTINGS: dict[str, Any] = {
    "batch_size": 4,
    "epochs": 6,
    "ema_momentum": 0.9,
    "early_stopping_epochs": 2,
    "learning_rate": 0.02,
    "seed": 5,
}
PARTS = {"batch_size": 2, "accumulate_steps": 2, "losses": [{"name": "cross_entropy"}, {"name": "dice"}]}


def run_killed(
    make_job: Callable[..., TrainingJob], tmp_path: Path, seed: int, kills: int, **changes: Any
) -> dict[str, Any]:
    """Returns the answers of the script: ``whole`` and ``killed``, and after which steps it killed."""
    job = make_job(train_count=10, val_count=4)
    records = Path(job.train_patterns[0]).parents[1]
    finished = subprocess.run(
        [sys.executable, SCRIPT, records, tmp_path, str(seed), str(kills), json.dumps(SETTINGS | changes)],
        env={**os.environ, "PYTHONPATH": str(SCRIPT.parents[2]), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    return json.loads(finished.stdout.splitlines()[-1])


def check(answers: dict[str, Any], kills: int) -> None:
    assert len(answers["killed_at"]) == kills
    whole, killed = answers["whole"], answers["killed"]
    assert whole["summary"].pop("resumed_from_step") is None
    # A kill comes after the first save at the earliest, and the last attempt goes on from there.
    assert killed["summary"].pop("resumed_from_step") >= answers["killed_at"][-1] - 1
    assert killed == whole


@pytest.mark.slow
def test_killed_training_ends_as_if_it_had_not_been(
    make_job: Callable[..., TrainingJob], tmp_path: Path
) -> None:
    check(run_killed(make_job, tmp_path, seed=0, kills=2), 2)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, 6))
@pytest.mark.parametrize("changes", [PARTS, {"optimizer": "sgd", "ema_momentum": None}])
def test_killed_at_many_moments(
    make_job: Callable[..., TrainingJob], tmp_path: Path, seed: int, changes: dict[str, Any]
) -> None:
    changes = {"augment": True, "cache_in_memory_bytes": 0, **changes}
    check(run_killed(make_job, tmp_path, seed=seed, kills=5, **changes), 5)
