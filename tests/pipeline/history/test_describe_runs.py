"""Runs in short, with what was different from the run before."""

from __future__ import annotations

from pipeline import tracking
from pipeline.history.describe_runs import describe_runs, gate_split
from pipeline.tracking import RunRecord


def _describe(history):
    records = tracking.list_runs(history.store)
    return {row.run_id: row for row in describe_runs(records, [record.run_id for record in records])}


def test_each_of_three_changes_is_named_and_nothing_else(four_runs):
    rows = _describe(four_runs)
    assert rows["run-1"].changes.previous is None
    found = {
        run_id: ([change.key for change in c.configuration], c.data, c.code, c.environment)
        for run_id, c in ((run_id, row.changes) for run_id, row in rows.items())
        if run_id != "run-1"
    }
    assert found == {
        "run-2": ([], True, False, False),
        "run-3": ([], False, True, False),
        "run-4": (["trainer.learning_rate"], False, False, False),
    }


def test_the_run_before_is_of_the_same_pipeline(history, writing):
    roads = writing.make_configuration("roads")
    history.add_run(writing.PlannedRun("a"))
    history.add_run(writing.PlannedRun("b", configuration=roads))
    history.add_run(writing.PlannedRun("c"))
    rows = _describe(history)
    assert rows["b"].changes.previous is None
    assert rows["c"].changes.previous == "a"


def test_a_run_that_saw_no_data_says_nothing_about_it(history, writing):
    history.add_run(writing.PlannedRun("a"))
    history.add_run(writing.PlannedRun("b", concluded=False))
    assert _describe(history)["b"].changes.data is None


def test_metrics_are_those_of_the_matrix(four_runs):
    metrics = _describe(four_runs)["run-1"].metrics["test"]
    # [[90, 10, 0], [20, 80, 0], [0, 0, 0]]: 170 of 200 pixels, IoU 90/120, 80/110, and one class absent.
    assert metrics.pixel_accuracy == 0.85
    assert metrics.iou == {"background": 0.75, "box": 80 / 110, "rare": None}
    assert metrics.mean_iou == (0.75 + 80 / 110) / 2


def test_a_run_is_judged_by_a_split_that_it_has():
    config = {"evaluation": {"gate_split": "test"}}
    both = RunRecord("r", "p", 0, "pushed", 1, metrics={"val": {}, "test": {}}, configuration=config)
    assert gate_split(both) == "test"
    assert gate_split(RunRecord("r", "p", 0, "pushed", 1, metrics={"val": {}}, configuration=config)) == "val"
    assert gate_split(RunRecord("r", "p", 0, "refused", 1)) == ""
