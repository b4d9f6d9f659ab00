"""Several workers in processes of their own: the same training as one, and what a lost worker costs."""

from __future__ import annotations

import importlib
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from data.config import AugmentConfig
from trainer import learner
from trainer.config import ModelConfig
from trainer.run_fn import make_job as make_training_job
from trainer.run_worker import AGAIN, REFUSED, read_job
from trainer.train import train
from trainer.training_job import TrainingJob

MakeJob = Callable[..., TrainingJob]
STEPS = 20


@pytest.fixture(scope="module")
def workers() -> ModuleType:
    """The module worker_processes.py."""
    return importlib.import_module("worker_processes")


@pytest.fixture
def write_job(make_job: MakeJob, tmp_path: Path) -> Callable[..., Path]:
    """Writes job files of the same training, whose results are apart. One epoch is one step."""

    def write(name: str, val_count: int = 5, **trainer: Any) -> Path:
        settings = {"epochs": STEPS, "batch_size": 12, "validate_every_epochs": 10, "seed": 3}
        # What falls out is drawn on each device.
        settings["model"] = ModelConfig(width=4, head="fcn32s", dropout=0.0)
        job = make_job(train_count=12, val_count=val_count, **{**settings, "devices": "auto", **trainer})
        sections = {
            "data": job.data.model_dump(mode="json"),
            "transform": job.transform.model_dump(mode="json"),
            "augment": AugmentConfig().model_dump(mode="json"),
            "trainer": job.trainer.model_dump(mode="json"),
        }
        folder = tmp_path / name
        folder.mkdir()
        file = folder / "job.json"
        arguments = {
            "train_files": list(job.train_patterns),
            "eval_files": list(job.val_patterns),
            "serving_model_dir": str(folder / "model"),
            "model_run_dir": str(folder / "logs"),
            "custom_config": {
                "config": json.dumps(sections),
                "code_fingerprint": "abc",
                "checkpoint_root": str(folder / "checkpoints"),
            },
        }
        file.write_text(json.dumps(arguments))
        return file

    return write


def read_history(job: Path) -> list[dict[str, Any]]:
    path = job.parent / "logs/history.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def assert_same_training(job: Path, other: Path) -> None:
    history, expected = read_history(job), read_history(other)
    assert len(history) == len(expected)
    losses = [entry["loss"] for entry in expected]
    assert len(set(losses)) == len(losses)
    np.testing.assert_allclose([entry["loss"] for entry in history], losses, atol=1e-4)
    for entry, one in zip(history, expected, strict=True):
        assert (entry["val"] is None) == (one["val"] is None)
        if one["val"]:
            assert entry["val"]["mean_iou"] == pytest.approx(one["val"]["mean_iou"], abs=0.005)
    ours, theirs = (
        {name: one.numpy() for name, one in tf.saved_model.load(str(job.parent / "model")).weights.items()}
        for job in (job, other)
    )
    assert ours.keys() == theirs.keys()
    for name, weight in ours.items():
        np.testing.assert_allclose(weight, theirs[name], atol=1e-3, err_msg=name)


def wait_until(condition: Callable[[], bool], seconds: float = 500) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_two_workers_have_the_losses_of_one(
    workers: ModuleType, write_job: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.setattr(learner, "build_model", workers.build_tiny_model)
    alone, together = (write_job(name, val_count=0, epochs=6) for name in ("alone", "together"))
    expected = train(make_training_job(read_job(str(alone)))).history
    ended = workers.fork_workers(together, together)
    assert [one.status for one in ended] == [0, 0], ended
    history = read_history(together)
    losses = [entry["loss"] for entry in expected]
    assert len(set(losses)) == 6
    np.testing.assert_allclose([entry["loss"] for entry in history], losses, atol=1e-4)


@pytest.mark.slow
@pytest.mark.long("starts up to three workers")
@pytest.mark.parametrize(
    ("count", "settings"),
    [
        (2, {}),
        (3, {"optimizer": "sgd", "ema_momentum": 0.5, "class_weighting": "median_frequency"}),
        (3, {"batch_size": 6, "accumulate_steps": 2, "cache_in_memory_bytes": 0}),
    ],
)
def test_workers_train_and_export_as_one(
    workers: ModuleType, write_job: Callable[..., Path], count: int, settings: dict[str, Any]
) -> None:
    alone, together = write_job("alone", **settings), write_job("together", **settings)
    for job, size in ((alone, 1), (together, count)):
        ended = workers.run_workers(job, size)
        assert [one.status for one in ended] == [0] * size, ended
    assert_same_training(together, alone)
    summary = json.loads((together.parent / "logs/training.json").read_text())
    assert summary["devices"] == [f"worker-{index}/CPU:0" for index in range(count)]
    (kept,) = (together.parent / "checkpoints").iterdir()
    assert (kept / "exported").is_file()  # By the chief, until the model is recorded.


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.long("kills a worker and starts again")
@pytest.mark.parametrize(("count", "lost"), [(2, 0), (3, 1)])
def test_lost_worker_ends_the_others_and_the_same_command_goes_on(
    workers: ModuleType,
    write_job: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    lost: int,
) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.setattr(learner, "build_model", workers.build_tiny_model)
    whole, broken = (write_job(name, epochs=150, val_count=0) for name in ("whole", "broken"))
    expected = train(make_training_job(read_job(str(whole)))).history
    with workers.reserve_ports(count) as ports:
        forks = workers.start_forks([broken] * count, ports)
        wait_until(lambda: len(read_history(broken)) >= 5)
        os.kill(forks.pids[lost], signal.SIGKILL)
        ended = forks.wait()
    assert 5 <= len(read_history(broken)) < 150
    for index, one in enumerate(ended):
        if index == lost:
            assert one.status == -signal.SIGKILL
            continue
        assert one.status == AGAIN, one.stderr
        assert one.stderr.splitlines()[-1].endswith("training goes on from the last checkpoint.")
    assert [one.status for one in workers.fork_workers(*[broken] * count)] == [0] * count
    summary = json.loads((broken.parent / "logs/training.json").read_text())
    assert summary["resumed_from_epoch"] >= 1
    resumed = read_history(broken)
    assert len(resumed) == 150
    # Later, roundings have grown.
    for entry, one in zip(resumed[:60], expected[:60], strict=True):
        assert entry["loss"] == pytest.approx(one["loss"], abs=1e-3)


@pytest.mark.slow
@pytest.mark.long("starts two workers")
def test_time_limit_ends_all_workers_at_the_same_step(
    workers: ModuleType, write_job: Callable[..., Path]
) -> None:
    job = write_job("timed", epochs=100_000, max_minutes=0.1, validate_every_epochs=100_000)
    assert [one.status for one in workers.fork_workers(job, job)] == [0, 0]
    summary = json.loads((job.parent / "logs/training.json").read_text())
    assert summary["stopped_by"] == "time" and 0 < summary["steps"] < 100_000


@pytest.mark.slow
@pytest.mark.long("starts two workers")
def test_workers_that_were_not_given_the_same_are_refused(
    workers: ModuleType, write_job: Callable[..., Path]
) -> None:
    chief, other = workers.fork_workers(write_job("one"), write_job("other", seed=4))
    assert other.status == REFUSED and "differ from the chief's" in other.stderr
    assert chief.status == AGAIN, chief.stderr
