"""All that is known of one run."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from data.errors import Problem
from data.quarantine import LeftOut, Quarantine
from pipeline import tracking
from pipeline.history.explain_run import explain_run
from pipeline.workspace import Workspace


@pytest.fixture
def explain(history, find):
    """Returns the document of a run."""

    def call(run_id):
        records = tracking.list_runs(history.store)
        return explain_run(history.store, Workspace(history.workspace), records, find(run_id))

    return call


def _component(document, name):
    return next(component for component in document.components if component.id == name)


def test_components_have_inputs_outputs_and_parameters(history, writing, explain):
    history.add_run(writing.PlannedRun("run-1"))
    document = explain("run-1")
    assert [component.id for component in document.components] == list(writing.NODES)
    trainer = _component(document, "Trainer")
    assert trainer.state == "complete"
    assert set(trainer.inputs) == {"examples", "schema", "transform_graph"}
    assert {key: [a.type for a in found] for key, found in trainer.outputs.items()} == {
        "model": ["Model"],
        "model_run": ["ModelRun"],
    }
    assert trainer.parameters["config"]["trainer"]["learning_rate"] == 0.01
    assert all(a.exists for one in document.components for found in one.outputs.values() for a in found)


def test_a_string_artifact_shows_its_value(history, writing, explain):
    history.add_run(writing.PlannedRun("run-1"))
    (fingerprint,) = _component(explain("run-1"), "DatasetSnapshot").outputs["fingerprint"]
    assert fingerprint.value == writing.fingerprint(writing.make_pairs())


def test_cached_components_lead_to_the_run_that_made_their_outputs(four_runs, explain):
    document = explain("run-4")
    origin = {component.id: component.reused_from for component in document.components}
    states = {component.id: component.state for component in document.components}
    assert states["Trainer"] == "complete" and origin["Trainer"] is None
    # The mask changed in the second run, the code of ingest in the third, and the schema never did.
    assert origin["DatasetSnapshot"] == "run-2"
    assert origin["SegmentationExampleGen"] == "run-3"
    assert origin["ImportSchemaGen"] == "run-1"
    assert origin["DataGate"] is None and states["DataGate"] == "complete"
    (examples,) = _component(document, "SegmentationExampleGen").outputs["examples"]
    (made,) = _component(explain("run-3"), "SegmentationExampleGen").outputs["examples"]
    assert examples.id == made.id


def test_metrics_by_split_class_and_slice_and_the_gates(history, writing, explain):
    history.add_run(writing.PlannedRun("run-1"))
    evaluation = explain("run-1").evaluation
    assert [(r.split, r.features) for r in evaluation.results] == [
        ("val", {}),
        ("test", {}),
        ("test", {"attribute/site": "north"}),
    ]
    assert evaluation.results[1].metrics.iou["background"] == 0.75
    assert evaluation.results[1].confusion_matrix == ((90, 10, 0), (20, 80, 0), (0, 0, 0))
    (gate,) = evaluation.gates
    assert (gate.metric, gate.bound, gate.passed) == ("mean_iou", 0.5, True)
    assert gate.value == pytest.approx((0.75 + 80 / 110) / 2)


def test_what_else_judged_it(history, writing, explain):
    history.add_run(writing.PlannedRun("run-1"))
    document = explain("run-1")
    assert document.data_gate.passed and document.data_gate.examples == {"train": 4, "val": 2, "test": 2}
    assert document.smoke_test.passed is True
    assert document.training["best_epoch"] == 20
    assert document.environment["packages"] == {"tfx": "1.16.0"}


def test_a_failed_run_names_the_component_and_the_error(history, writing, explain):
    history.add_run(writing.PlannedRun("run-1", fails_at="Trainer", status="failed", error="out of memory"))
    document = explain("run-1")
    assert (document.failed_component, document.run.error) == ("Trainer", "out of memory")
    assert document.components[-1].state == "failed"
    assert document.evaluation is None and document.training is None


def test_the_report_of_a_gate_that_stopped_the_run_is_found(history, writing, explain):
    history.add_run(writing.PlannedRun("run-1", fails_at="DataGate", status="refused", error="void"))
    folder = history.workspace / "gate" / "boxes"
    folder.mkdir(parents=True)
    (folder / "data-gate-now.json").write_text(json.dumps(writing.gate_report(False)))
    (folder / "data-gate-old.json").write_text(json.dumps(writing.gate_report(True)))
    os.utime(folder / "data-gate-old.json", (1.0, 1.0))
    gate = explain("run-1").data_gate
    assert not gate.passed
    assert [(f.feature, f.image_ids) for f in gate.findings] == [("mask/void_share", ("train/scene_000",))]


def test_what_was_left_out_of_the_data_is_told(history, writing, explain):
    history.add_run(writing.PlannedRun("run-1"))
    assert explain("run-1").quarantine is None
    (examples,) = [one for one in history.store.get_artifacts_by_type("Examples") if "ExampleGen" in one.uri]
    examples.custom_properties["quarantined"].int_value = 1
    history.store.put_artifacts([examples])
    problem = Problem("/data/a.png", "the file is empty", "Restore it", "empty_file")
    quarantine = Quarantine((LeftOut(problem, "a", "train"),), 1, 99, 0.01)
    (Path(examples.uri) / "quarantine.json").write_text(json.dumps(quarantine.to_json()))
    document = explain("run-1")
    assert document.quarantine.model_dump(mode="json") == quarantine.to_json()
    (Path(examples.uri) / "quarantine.json").write_text('{"bad": 1}')
    document = explain("run-1")
    assert document.quarantine is None and "quarantine.json is damaged" in document.notes[0]


def test_files_may_be_elsewhere_than_the_store_says(history, writing, find, tmp_path):
    history.add_run(writing.PlannedRun("run-1"))
    records = tracking.list_runs(history.store)
    elsewhere = tmp_path / "elsewhere"
    Path(history.workspace).rename(elsewhere)

    def locate(uri):
        return uri.replace(str(history.workspace), str(elsewhere))

    workspace = Workspace(Path("/nonexistent"))
    document = explain_run(history.store, workspace, records, find("run-1"), locate)
    outputs = [
        one for component in document.components for found in component.outputs.values() for one in found
    ]
    assert all(one.exists and one.uri.startswith(str(elsewhere)) for one in outputs)
    assert document.evaluation is not None and document.notes == ()
    assert not any(one.uri.startswith(str(elsewhere)) for one in history.store.get_artifacts())


def test_the_log_is_named_while_it_is_there(history, writing, explain):
    history.add_run(writing.PlannedRun("run-1"))
    assert explain("run-1").log is None
    log = Workspace(history.workspace).log_file("run-1")
    writing.write(log, "")
    assert explain("run-1").log == str(log)


def test_a_run_that_was_killed_has_no_component_that_still_runs(history, writing, explain):
    history.add_run(writing.PlannedRun("run-1", concluded=False))
    dead = {**json.loads(tracking.describe_process()), "started": "another process of this id"}
    tracking.put_run_properties(history.store, "run-1", {tracking.PROCESS_PROPERTY: json.dumps(dead)})
    _leave_running(history, "Trainer")
    document = explain("run-1")
    assert document.run.status == "interrupted"
    trainer = _component(document, "Trainer")
    assert (trainer.state, trainer.seconds) == ("interrupted", None)


def test_a_component_of_a_living_run_runs(history, writing, explain, find):
    history.add_run(writing.PlannedRun("run-1", concluded=False))
    tracking.put_run_properties(
        history.store, "run-1", {tracking.PROCESS_PROPERTY: tracking.describe_process()}
    )
    _leave_running(history, "Trainer")
    time.sleep(0.02)
    trainer = _component(explain("run-1"), "Trainer")
    assert trainer.state == "running"
    assert trainer.seconds > 0.01


def _leave_running(history, node):
    (execution,) = [e for e in history.store.get_executions() if e.type.endswith("." + node)]
    execution.last_known_state = 2  # RUNNING
    history.store.put_executions([execution])


def test_pruned_files_are_said_to_be_gone_and_the_store_still_answers(history, writing, explain):
    history.add_run(writing.PlannedRun("run-1"))
    shutil.rmtree(history.workspace / "pipelines")
    document = explain("run-1")
    assert [(r.split, r.confusion_matrix) for r in document.evaluation.results] == [
        ("val", None),
        ("test", None),
    ]
    assert document.evaluation.results[0].metrics.iou["background"] == 0.75
    assert document.data_gate is None
    assert any("metrics.json is not there any more" in note for note in document.notes)
    assert not _component(document, "Trainer").outputs["model"][0].exists


def test_a_damaged_verdict_does_not_take_the_matrices_away(history, writing, explain):
    history.add_run(writing.PlannedRun("run-1"))
    (path,) = Path(history.workspace / "pipelines").rglob("verdict.json")
    path.write_text('{"baseline": 3, "notes": 5}')
    document = explain("run-1")
    assert document.evaluation.results[1].confusion_matrix[0] == (90, 10, 0)
    assert document.evaluation.gates == ()
    assert document.notes == ("verdict.json is damaged: its values are not what they should be.",)


@pytest.mark.parametrize(
    "damage", ["", "{", "[1, 2]", '{"splits": {"test": 3}, "gates": [{"metric": 5}]}', "\x00\xff"]
)
def test_damaged_files_are_said_to_be_damaged(history, writing, explain, damage):
    history.add_run(writing.PlannedRun("run-1"))
    for name in ("metrics.json", "verdict.json", "report.json", "smoke_test.json", "training.json"):
        (path,) = Path(history.workspace / "pipelines").rglob(name)
        path.write_text(damage)
    document = explain("run-1")
    assert document.evaluation.results[0].metrics.iou["background"] == 0.75
    assert any("damaged" in note for note in document.notes)


def test_no_more_queries_for_more_runs_or_components(history, writing, explain, count_calls):
    history.add_runs([writing.PlannedRun(f"run-{index}", version=index + 1) for index in range(3)])
    few = count_calls(lambda: explain("run-2"))
    history.add_runs([writing.PlannedRun(f"run-{index}", version=index + 1) for index in range(3, 30)])
    assert count_calls(lambda: explain("run-29")) == few
    assert count_calls(lambda: tracking.list_runs(history.store)) == 1
