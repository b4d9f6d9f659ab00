"""The search: what KerasTuner is asked, what trials are trained on, and what is kept."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from data.errors import RefusedError
from trainer import tuner as tuner_module
from trainer.config import TrainerConfig
from trainer.run_fn import make_job as make_pipeline_job
from trainer.train import TrainingDivergedError, TrainingJob
from trainer.tuner import TrialTuner, build_space
from trainer.tuner_config import SpaceEntry, TunerConfig
from trainer.tuner_fn import tuner_fn

SECTIONS = {"trainer": TrainerConfig().model_dump(mode="json")}
RATES = SpaceEntry(min=1e-4, max=1e-1, sampling="log")


@dataclasses.dataclass
class Trainings:
    """Plays ``train``: the score follows from the configuration."""

    jobs: list[TrainerConfig] = dataclasses.field(default_factory=list)
    error: Exception | None = None

    def train(self, job: TrainingJob) -> Any:
        if self.error is not None:
            raise self.error
        self.jobs.append(job.trainer)
        Path(job.checkpoint_dir, "last").mkdir(parents=True)
        if job.trainer.batch_size == 3:
            raise TrainingDivergedError("The loss is not a number.")
        summary = {
            "best_val_mean_iou": 1 - job.trainer.learning_rate,
            "seconds": 2.5,
            "epochs": job.trainer.epochs,
            "best_epoch": 1,
        }
        return SimpleNamespace(summary=summary)


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> Trainings:
    played = Trainings()
    monkeypatch.setattr(tuner_module, "train", played.train)
    # Nothing is built, and in a process that has imported so much it collects garbage for a second.
    monkeypatch.setattr(tuner_module.keras.utils, "clear_session", lambda: None)
    return played


@pytest.fixture
def search(make_job: Callable[..., TrainingJob], tmp_path: Path) -> Callable[..., TrialTuner]:
    job = make_job()

    def make_trial_job(sections: Any) -> TrainingJob:
        trainer = TrainerConfig.model_validate(sections["trainer"])
        folder = str(tmp_path / "trials" / str(abs(hash(json.dumps(sections, sort_keys=True)))))
        return dataclasses.replace(job, trainer=trainer, checkpoint_dir=folder, log_dir=f"{folder}/records")

    def run(**config: Any) -> TrialTuner:
        config.setdefault("space", {"trainer.learning_rate": RATES})
        tuner = TrialTuner(TunerConfig(**config), SECTIONS, make_trial_job, str(tmp_path / "state"))
        tuner.search()
        return tuner

    return run


def _rates(tuner: TrialTuner) -> list[float]:
    return [record.values["trainer.learning_rate"] for record in tuner.records]


@pytest.mark.parametrize("algorithm", ["random", "bayesian", "hyperband"])
def test_trials_are_trained_scored_and_recorded(trainings, search, algorithm):
    tuner = search(max_trials=5, algorithm=algorithm, epochs=4, max_minutes=1.5)
    assert [job.learning_rate for job in trainings.jobs] == _rates(tuner)
    assert len(set(_rates(tuner))) >= 4 and all(1e-4 <= rate <= 1e-1 for rate in _rates(tuner))
    assert {job.max_minutes for job in trainings.jobs} == {1.5}
    # Hyperband's first bracket of at most 4 epochs starts with 4 / 3 of them.
    assert {job.epochs for job in trainings.jobs} <= ({2, 4} if algorithm == "hyperband" else {4})
    document = tuner.to_document()
    best = min(tuner.records, key=lambda record: record.values["trainer.learning_rate"])
    assert document["best"] == best.id
    assert document["trials"][0]["score"] == pytest.approx(1 - _rates(tuner)[0])
    assert document["trials"][0]["seconds"] == 2.5
    chosen = tuner.get_best_hyperparameters()[0].get_config()["values"]
    assert chosen["trainer.learning_rate"] == best.values["trainer.learning_rate"]


def test_the_same_seed_asks_the_same_and_nothing_is_trained_twice(trainings, search):
    first = search(max_trials=3)
    assert len(trainings.jobs) == 3
    again = search(max_trials=5)
    assert again.records[:3] == first.records and len(trainings.jobs) == 5
    other = search(max_trials=3, seed=1)
    assert not set(_rates(other)) & set(_rates(first))


def test_a_search_that_was_stopped_goes_on_with_the_trial_that_stopped(trainings, search):
    tried = search(max_trials=2)
    trainings.error = KeyboardInterrupt()  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        search(max_trials=3)
    trainings.error = None
    assert search(max_trials=3).records[:2] == tried.records
    assert len(trainings.jobs) == 3


def test_bayesian_search_repeats_itself(trainings, search):
    settings = {"algorithm": "bayesian", "max_trials": 4}
    assert search(**settings).records == search(**settings).records
    assert len(trainings.jobs) == 4


def test_a_failed_trial_is_recorded_and_not_chosen(trainings, search):
    tuner = search(max_trials=4, space={"trainer.batch_size": SpaceEntry(choice=(3, 4))})
    by_size = {record.values["trainer.batch_size"]: record for record in tuner.records}
    assert (by_size[3].status, by_size[3].score) == ("failed", None)
    assert by_size[3].message == "The loss is not a number."
    assert tuner.to_document()["best"] == by_size[4].id
    assert tuner.get_best_hyperparameters()[0].values["trainer.batch_size"] == 4


def test_values_that_do_not_go_together_fail_their_trial_alone(trainings, search):
    smoothing = {"choice": (0.0, 0.1)}
    space = {
        "trainer.losses.0.name": SpaceEntry(choice=("cross_entropy", "lovasz_softmax")),
        "trainer.label_smoothing": SpaceEntry(**smoothing),
    }
    tuner = search(max_trials=8, space=space)
    (failed,) = [record for record in tuner.records if record.status == "failed"]
    assert failed.values == {"trainer.losses.0.name": "lovasz_softmax", "trainer.label_smoothing": 0.1}
    assert "label_smoothing has no effect" in failed.message
    assert len(trainings.jobs) == 3


def test_a_space_without_other_values_ends_the_search(trainings, search):
    tuner = search(max_trials=50, space={"trainer.batch_size": SpaceEntry(min=4, max=6)})
    assert sorted(record.values["trainer.batch_size"] for record in tuner.records) == [4, 5, 6]


def test_no_trial_that_succeeds_is_an_error_that_says_why(trainings, search):
    with pytest.raises(RuntimeError, match=r"None of the 1 trials .* The loss is not a number"):
        search(max_trials=1, space={"trainer.batch_size": SpaceEntry(choice=(3, 3))})


def test_what_stops_every_trial_stops_the_search(trainings, search):
    trainings.error = OSError("disk full")
    with pytest.raises(OSError, match="disk full"):
        search()


def test_ranges_are_whole_numbers_only_where_the_key_is():
    space = {
        "trainer.batch_size": SpaceEntry(min=4, max=16, step=4),
        "trainer.weight_decay": SpaceEntry(min=0, max=1),
        "trainer.learning_rate": RATES,
    }
    built = build_space(TunerConfig(space=space), SECTIONS)
    kinds = {entry.name: type(entry).__name__ for entry in built.space}
    assert kinds == {
        "trainer.batch_size": "Int",
        "trainer.weight_decay": "Float",
        "trainer.learning_rate": "Float",
    }
    sizes = {entry.name: entry for entry in built.space}["trainer.batch_size"]
    assert sorted({sizes.random_sample(seed) for seed in range(50)}) == [4, 8, 12, 16]


@pytest.fixture
def arguments(make_job: Callable[..., TrainingJob], tmp_path: Path) -> SimpleNamespace:
    job = make_job(epochs=1)
    sections = {name: getattr(job, name).model_dump(mode="json") for name in ("data", "transform", "trainer")}
    tuner = TunerConfig(space={"trainer.learning_rate": RATES}, max_trials=2)
    return SimpleNamespace(
        train_files=list(job.train_patterns),
        eval_files=list(job.val_patterns),
        model_run_dir=str(tmp_path / "run"),
        hyperparameters=None,
        working_dir=str(tmp_path / "working"),
        custom_config={
            "config": json.dumps(sections),
            "tuner": tuner.model_dump_json(),
            "code_fingerprint": "abc",
            "checkpoint_root": str(tmp_path / "checkpoints"),
        },
    )


def test_no_examples_to_score_by_are_refused(arguments):
    arguments.eval_files = []
    with pytest.raises(RefusedError, match="no val split"):
        tuner_fn(arguments)


def test_the_training_takes_the_best_values_and_a_name_of_its_own(arguments):
    plain = make_pipeline_job(arguments)
    arguments.hyperparameters = {
        "space": [], "values": {"trainer.learning_rate": 0.125, "trainer.model.width": 8, "tuner/epochs": 1}
    }  # fmt: skip
    tuned = make_pipeline_job(arguments)
    assert (tuned.trainer.learning_rate, tuned.trainer.model.width, tuned.trainer.epochs) == (0.125, 8, 1)
    assert tuned.checkpoint_dir != plain.checkpoint_dir
