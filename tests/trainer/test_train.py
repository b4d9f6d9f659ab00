"""The training loop: what it records, that it can learn, that it repeats, and that it goes on."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tensorflow.python.framework import config as framework_config

from data.config import AugmentConfig
from data.errors import RefusedError
from trainer import pace, validate_epoch
from trainer import train as train_module
from trainer.checkpoints import remove_released
from trainer.config import ModelConfig
from trainer.train import TrainingDivergedError, TrainingJob, train

MakeJob = Callable[..., TrainingJob]

# Each test compiles a network or two.
pytestmark = pytest.mark.slow
# Of the training alone: whatever the network, the loop does the same.
TINY = pytest.mark.usefixtures("tiny_network")


def weights_of(job: TrainingJob) -> list[np.ndarray]:
    return [np.asarray(weight) for weight in train(job).model.weights]


def read_history(job: TrainingJob) -> list[dict]:
    return [json.loads(line) for line in Path(job.log_dir, "history.jsonl").read_text().splitlines()]


def test_records_say_what_was_done(make_job: MakeJob) -> None:
    job = make_job(train_count=6, batch_size=4, epochs=3, validate_every_epochs=2, deterministic=True)
    result = train(job)
    history = read_history(job)
    assert history == result.history
    # Three epochs of six images are 18 images: batches of 4 end in steps 2, 3 and 5.
    assert [entry["epoch"] for entry in history] == [1, 2, 3]
    assert [entry["step"] for entry in history] == [2, 3, 5]
    assert [entry["val"] is not None for entry in history] == [False, True, True]
    assert set(history[1]["val"]) >= {"pixel_accuracy", "mean_iou", "iou/box"}
    assert history[-1]["learning_rate"] == pytest.approx(0, abs=1e-9)
    summary = json.loads(Path(job.log_dir, "training.json").read_text())
    assert summary["devices"] == ["CPU:0"]
    assert summary["precision"]["policy"] == "float32" and summary["precision"]["reason"]
    assert (summary["steps"], summary["epochs"], summary["stopped_by"]) == (5, 3, "epochs")
    assert summary["resumed_from_step"] is None
    assert summary["deterministic"]["bit_equal"] is True
    # The other components of the same process do without.
    assert not framework_config.is_op_determinism_enabled()
    assert summary["parameters"] == result.model.count_params()
    assert summary["best_val_mean_iou"] == max(e["val"]["mean_iou"] for e in history if e["val"])
    assert list(Path(job.log_dir).glob("events.out.tfevents.*"))


def test_a_tiny_network_learns_four_images_by_heart(make_job: MakeJob) -> None:
    job = make_job(
        train_count=4,
        val_count=0,
        batch_size=4,
        epochs=150,
        validate_every_epochs=50,
        learning_rate=1e-2,
        model=ModelConfig(width=8, head="fcn4s", dropout=0.0),
    )
    # The very images that it trains on.
    job = dataclasses.replace(job, val_patterns=job.train_patterns)
    result = train(job)
    assert result.history[-1]["loss"] < 0.1 * result.history[0]["loss"]
    assert result.summary["best_val_mean_iou"] > 0.9


@TINY
def test_same_seed_same_weights_other_seed_others(make_job: MakeJob) -> None:
    augment = AugmentConfig()
    first, second, other = (
        weights_of(dataclasses.replace(make_job(name=name, seed=seed), augment=augment))
        for name, seed in (("first", 3), ("second", 3), ("other", 4))
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@TINY
def test_stopped_training_goes_on_as_if_it_had_not_been(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In test_resume.py it is killed at any moment, and has a smaller network."""
    monkeypatch.setattr(pace, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    monkeypatch.setattr(pace, "_SAVING_SHARE", math.inf)
    settings = {"epochs": 4, "seed": 1, "ema_momentum": 0.9, "optimizer": "sgd"}
    expected = weights_of(make_job(name="whole", **settings))
    job = make_job(name="killed", **settings)
    finish = train_module._Loop._finish_epoch

    def finish_or_die(loop: object, entry: dict, *others: object) -> bool:
        if entry["epoch"] == 3:
            raise KeyboardInterrupt
        return finish(loop, entry, *others)

    monkeypatch.setattr(train_module._Loop, "_finish_epoch", finish_or_die)
    with pytest.raises(KeyboardInterrupt):
        train(job)
    monkeypatch.undo()
    # TFX gives the second attempt another folder.
    job = dataclasses.replace(job, log_dir=job.log_dir + "_again")
    result = train(job)
    # All the steps of the third epoch were done, but not its validation.
    assert (result.summary["resumed_from_epoch"], result.summary["resumed_from_step"]) == (2, 5)
    assert [entry["epoch"] for entry in read_history(job)] == [1, 2, 3, 4]
    for weight, value in zip(result.model.weights, expected, strict=True):
        np.testing.assert_array_equal(np.asarray(weight), value)


@TINY
def test_finished_training_is_not_trained_again(make_job: MakeJob) -> None:
    job = make_job(epochs=1)
    expected = weights_of(job)
    result = train(job)
    assert result.summary["resumed_from_epoch"] == 1 and result.summary["steps"] == 2
    assert all(np.array_equal(np.asarray(a), b) for a, b in zip(result.model.weights, expected, strict=True))
    root = str(Path(job.checkpoint_dir).parent)
    remove_released(root)
    assert Path(job.checkpoint_dir).exists()
    result.checkpoints.release()
    remove_released(root, older_than_seconds=3600)
    assert Path(job.checkpoint_dir).exists()
    remove_released(root)
    assert not Path(job.checkpoint_dir).exists()


@TINY
def test_best_weights_are_those_of_the_best_epoch(make_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.2, 0.7, 0.4])
    seen = []

    def pretend(matrix: np.ndarray, names: object) -> dict[str, float]:
        return {"mean_iou": next(scores)}

    save_best = train_module.Checkpoints.save_best

    def remember(checkpoints: train_module.Checkpoints) -> None:
        save_best(checkpoints)
        seen.append([w.numpy() for w in checkpoints._best.weights])

    monkeypatch.setattr(validate_epoch, "compute_metrics", pretend)
    monkeypatch.setattr(train_module.Checkpoints, "save_best", remember)
    result = train(make_job(epochs=3))
    assert len(seen) == 2
    assert (result.summary["best_epoch"], result.summary["best_val_mean_iou"]) == (2, 0.7)
    assert all(np.array_equal(np.asarray(a), b) for a, b in zip(result.model.weights, seen[1], strict=True))


@TINY
def test_training_stops_when_validation_does_not_improve(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The second epoch is the best; the fourth is level with it, and the second in a row without a better one.
    scores = iter([0.2, 0.5, 0.4, 0.5])
    monkeypatch.setattr(validate_epoch, "compute_metrics", lambda *_: {"mean_iou": next(scores)})
    job = make_job(epochs=10, early_stopping_epochs=2)
    summary = train(job).summary
    assert (summary["stopped_by"], summary["epochs"], summary["best_epoch"]) == ("no_improvement", 4, 2)
    again = train(job).summary
    assert (again["stopped_by"], again["steps"]) == ("no_improvement", summary["steps"])


def test_stopping_early_without_a_validation_split_is_refused(make_job: MakeJob) -> None:
    with pytest.raises(RefusedError, match=r"trainer\.early_stopping_epochs: needs a validation split"):
        train(make_job(val_count=0, early_stopping_epochs=2))


@TINY
def test_without_validation_the_last_weights_are_the_result(make_job: MakeJob) -> None:
    result = train(make_job(val_count=0, epochs=1))
    assert result.history[0]["val"] is None
    assert result.summary["best_epoch"] is None


@TINY
def test_time_limit_ends_the_training_with_its_schedule_done(make_job: MakeJob) -> None:
    # A hundred thousand epochs would take hours.
    job = make_job(epochs=100_000, validate_every_epochs=100_000, max_minutes=0.05)
    result = train(job)
    assert result.summary["stopped_by"] == "time"
    assert "max_minutes" in result.summary["deterministic"]["reason"]
    assert 0 < result.summary["steps"] < 100_000
    # The time's end falls between two steps, and the more so the slower they are.
    assert result.history[-1]["learning_rate"] < 0.02 * 1e-2
    assert result.history[-1]["val"] is not None
    # What earlier attempts took counts.
    assert train(job).summary["steps"] == result.summary["steps"]


@TINY
def test_void_only_validation_has_no_score(make_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validate_epoch, "measure_split", lambda *_: np.zeros((3, 3), np.int64))
    result = train(make_job(epochs=1))
    assert result.history[0]["val"]["mean_iou"] is None
    assert result.summary["best_epoch"] == 1


@TINY
def test_loss_that_is_no_number_stops_with_a_sentence(make_job: MakeJob) -> None:
    job = make_job(epochs=20, learning_rate=1e30, optimizer="sgd", gradient_clip_norm=None)
    with pytest.raises(TrainingDivergedError, match=r"not a number at step \d+ of 30\. Lower trainer\.learn"):
        train(job)


@TINY
def test_smaller_data_set_than_a_batch_trains(make_job: MakeJob) -> None:
    result = train(make_job(train_count=2, val_count=1, batch_size=8, epochs=4))
    # One batch holds the split several times over; an epoch is a batch then.
    assert result.summary["steps"] == 4


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_trains(make_job: MakeJob, monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    # As on a CPU that has it; others train in float32.
    monkeypatch.setattr("trainer.precision.read_cpu_flags", lambda: {"amx_bf16", "amx_fp16"})
    job = make_job(
        train_count=4,
        batch_size=4,
        epochs=30,
        validate_every_epochs=30,
        learning_rate=1e-2,
        precision=precision,
    )
    result = train(job)
    assert result.summary["precision"]["policy"] == precision
    assert result.history[-1]["loss"] < 0.7 * result.history[0]["loss"]
    assert all(np.isfinite(np.asarray(weight)).all() for weight in result.model.weights)


@TINY
def test_progress_is_reported_to_its_end(make_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    amounts, notes, totals = [], [], []

    class Stage:
        def __enter__(self) -> Stage:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def advance(self, amount: float = 1, note: str = "") -> None:
            amounts.append(amount)
            notes.append(note)

    class Reporter:
        def stage(self, name: str, total: float | None = None) -> Stage:
            totals.append((name, total))
            return Stage()

    monkeypatch.setattr(train_module, "current", Reporter)
    train(make_job(epochs=2))
    assert totals == [("train", 3)]
    assert sum(amounts) == pytest.approx(3)
    assert notes[-1].startswith("epoch 2/2, loss ")
