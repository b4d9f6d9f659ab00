"""A search whose process is killed in a trial goes on with it when the same command is given again."""

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

SCRIPT = Path(__file__).with_name("killed_tuning.py")
pytestmark = [pytest.mark.slow, pytest.mark.long("searches three times, each in a process")]


def start(records: Path, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, SCRIPT, records, folder],
        env={**os.environ, "PYTHONPATH": str(SCRIPT.parents[2]), "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        text=True,
    )


def search(records: Path, folder: Path) -> tuple[list[list[str]], dict[str, Any]]:
    """Searches to the end; returns what was trained, word by word, and the document of the trials."""
    out, _ = (process := start(records, folder)).communicate()
    assert process.returncode == 0, out
    *lines, document = out.splitlines()
    return [line.split() for line in lines if line.startswith(("trial ", "step "))], json.loads(document)


def kill_in_trial(records: Path, folder: Path, number: int, step: int) -> list[str]:
    """Kills a search after a step of a trial, by its number from 1; returns the folders of its trials."""
    trials: list[str] = []
    with start(records, folder) as process:
        assert process.stdout is not None
        for line in process.stdout:
            kind, _, value = line.strip().partition(" ")
            if kind == "trial":
                trials.append(value)
            elif kind == "step" and len(trials) == number and int(value) >= step:
                process.kill()
                break
        # Further lines may stand in the pipe: what the process did before it was dead.
        process.stdout.read()
    assert process.returncode == -9
    return trials


def without_times(document: dict[str, Any]) -> dict[str, Any]:
    return {**document, "trials": [{**trial, "seconds": None} for trial in document["trials"]]}


def test_finished_trials_are_not_run_again_and_the_killed_one_goes_on(
    make_job: Callable[..., TrainingJob], tmp_path: Path
) -> None:
    records = Path(make_job(train_count=10, val_count=4).train_patterns[0]).parents[1]
    _, whole = search(records, tmp_path / "whole")

    first, killed = kill_in_trial(records, tmp_path / "killed", number=2, step=5)
    result = Path(first, "result.json")
    kept, written = result.read_bytes(), result.stat().st_mtime_ns
    assert not Path(killed, "result.json").exists()
    done, document = search(records, tmp_path / "killed")

    trained = [value for kind, value in done if kind == "trial"]
    assert trained[0] == killed and len(trained) == 2 and first not in trained
    # The killed trial goes on after its last checkpoint.
    assert int(next(value for kind, value in done if kind == "step")) >= 5
    assert (result.read_bytes(), result.stat().st_mtime_ns) == (kept, written)
    assert document["trials"][0]["seconds"] == json.loads(kept)["seconds"]
    assert without_times(document) == without_times(whole)
    again, repeated = search(records, tmp_path / "killed")
    assert again == [] and repeated == document
