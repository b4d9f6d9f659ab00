"""Trials in what ``runs`` and ``show`` say."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ml_metadata.proto import metadata_store_pb2 as pb

from pipeline import tracking
from pipeline.cluster.summarise_step import summarise_success
from pipeline.history.read_tuning import summarise_trials

_TRIAL = {"epochs": 2, "best_epoch": 1, "message": None, "status": "completed"}
RESULTS: dict[str, Any] = {
    "objective": "mean_iou",
    "algorithm": "bayesian",
    "max_trials": 3,
    "best": "1",
    "trials": [
        {**_TRIAL, "id": "0", "score": 0.25, "seconds": 12.5, "values": {"trainer.batch_size": 4}},
        {**_TRIAL, "id": "1", "score": 0.75, "seconds": 11.0, "values": {"trainer.batch_size": 8}},
        {
            "id": "2", "status": "failed", "score": None, "seconds": None, "epochs": None, "best_epoch": None,
            "values": {"trainer.batch_size": 16}, "message": "There was not enough [/] memory",
        },
    ],
}  # fmt: skip
SUMMARY = {"trials": 3, "completed": 2, "best_score": 0.75}


@pytest.fixture
def tuned(history, writing):
    """Two runs; the second one had a Tuner. Returns the folder of its results."""
    history.add_run(writing.PlannedRun("run-1"))
    history.add_run(writing.PlannedRun("run-2"))
    store, folder = history.store, Path(history.workspace) / "tuner_results"
    folder.mkdir()
    (folder / "trials.json").write_text(json.dumps(RESULTS))
    run = tracking.find_run(store, "run-2")
    summary = json.loads(run.custom_properties[tracking.SUMMARY_PROPERTY].string_value)
    summary["tuning"] = SUMMARY
    tracking.put_run_properties(store, "run-2", {tracking.SUMMARY_PROPERTY: json.dumps(summary)})
    artifact_type = store.put_artifact_type(pb.ArtifactType(name="TunerResults"))
    execution_type = store.put_execution_type(pb.ExecutionType(name="components.tuner.Tuner"))
    node_type = store.get_context_type(tracking.NODE_CONTEXT_TYPE).id
    event = pb.Event(type=pb.Event.OUTPUT)
    event.path.steps.add().key = "tuner_results"
    store.put_execution(
        pb.Execution(type_id=execution_type, last_known_state=pb.Execution.COMPLETE),
        [(pb.Artifact(type_id=artifact_type, uri=str(folder)), event)],
        [tracking.find_run(store, "run-2"), pb.Context(type_id=node_type, name="boxes.Tuner")],
    )
    return folder


def test_the_summary_counts_trials_and_has_the_best():
    assert summarise_trials(RESULTS) == SUMMARY
    nothing = {"trials": [{"score": None}]}
    assert summarise_trials(nothing) == {"trials": 1, "completed": 0, "best_score": None}


def test_runs_has_them_for_the_run_with_a_tuner(tuned, ask):
    runs = json.loads(ask("runs", "--json").out)["runs"]
    assert [run["tuning"] for run in runs] == [None, SUMMARY]
    lines = {line.split()[1]: line for line in ask("runs").out.splitlines() if "run-" in line}
    assert "3, 1 failed, best 0.7500" in lines["run-2"]
    assert "best" not in lines["run-1"]


def test_without_a_tuner_runs_has_no_such_column(history, writing, ask):
    history.add_run(writing.PlannedRun("run-1"))
    assert "trials" not in ask("runs").out


def test_show_lists_the_trials_best_first(tuned, ask):
    tuning = json.loads(ask("show", "run-2", "--json").out)["tuning"]
    assert tuning == RESULTS
    out = ask("show", "run-2").out
    first = out.index("trainer.batch_size")
    rows = [line for line in out[first:].splitlines() if line.startswith("│")][:3]
    assert [row.split("│")[1].strip() for row in rows] == ["1 best", "0", "2"]
    assert [row.split("│")[-2].strip() for row in rows] == ["8", "4", "16"]
    assert "0.7500" in rows[0] and "failed" in rows[2]
    assert "There was not enough [/] memory" in out
    assert json.loads(ask("show", "run-1", "--json").out)["tuning"] is None


def test_damaged_results_become_a_note(tuned, ask):
    (tuned / "trials.json").write_text(json.dumps({"trials": [{"id": 3}]}))
    document = json.loads(ask("show", "run-2", "--json").out)
    assert document["tuning"] is None
    assert any("trials.json is damaged" in note for note in document["notes"])


def test_the_last_step_of_a_clusters_run_sums_them_up(tuned):
    pushed = SimpleNamespace(get_int_custom_property=lambda _: 0)
    inputs: Any = {"pushed_model": [pushed], "tuner_results": [SimpleNamespace(uri=str(tuned))]}
    summary = summarise_success("RunReport", inputs, {}, {})
    assert summary["tuning"] == SUMMARY
    assert "tuning" not in summarise_success("RunReport", {"pushed_model": [pushed]}, {}, {})  # type: ignore[dict-item]
