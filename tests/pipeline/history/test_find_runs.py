"""Which runs are meant, and in which order."""

from __future__ import annotations

from datetime import datetime

import pytest

from data.errors import RefusedError
from pipeline.history.find_runs import (
    RunFilter,
    limit_runs,
    read_metric,
    read_since,
    read_statuses,
    resolve_run,
    resolve_runs,
    sort_runs,
)
from pipeline.tracking import RunRecord


def _run(run_id, started=0.0, status="pushed", mean_iou=None, pipeline="boxes", **fields):
    metrics = {} if mean_iou is None else {"test": {"mean_iou": mean_iou, "iou": {"road": mean_iou / 2}}}
    return RunRecord(run_id, pipeline, started, status, seconds=1.0, metrics=metrics, **fields)


RUNS = [
    _run("20260101-a", 1, mean_iou=0.5, blessed=True),
    _run("20260102-b", 2, status="refused", pipeline="roads"),
    _run("20260102-c", 3, mean_iou=0.9, status="not blessed", blessed=False),
]


def test_a_run_is_found_by_id_beginning_and_as_the_latest():
    assert resolve_run(RUNS, "20260102-b").run_id == "20260102-b"
    assert resolve_run(RUNS, "20260101").run_id == "20260101-a"
    assert resolve_run(RUNS, "latest").run_id == "20260102-c"


def test_an_id_wins_over_being_the_beginning_of_another():
    runs = [_run("r1"), _run("r1-again")]
    assert resolve_run(runs, "r1").run_id == "r1"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("20260102", "beginning of 2 runs: 20260102-b, 20260102-c"),
        ("x", "does not exist"),
        ("", "does not exist"),
    ],
)
def test_what_means_none_or_several_is_refused(text, says):
    with pytest.raises(RefusedError, match=says):
        resolve_run(RUNS, text)


def test_the_latest_of_no_runs_is_refused():
    with pytest.raises(RefusedError, match="run latest: does not exist"):
        resolve_run([], "latest")


def test_a_run_named_twice_is_refused():
    with pytest.raises(RefusedError, match="20260102-c: is named twice"):
        resolve_runs(RUNS, ["latest", "20260102-c"])


@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        (RunFilter(pipeline="roads"), "b"),
        (RunFilter(statuses=("refused", "pushed")), "ab"),
        (RunFilter(since=2.0), "bc"),
        (RunFilter(blessed=True), "a"),
        (RunFilter(blessed=False), "bc"),
        (RunFilter(pipeline="boxes", blessed=False), "c"),
    ],
)
def test_filters(wanted, left):
    assert "".join(run.run_id[-1] for run in RUNS if wanted.passes(run)) == left


def test_best_metric_first_and_runs_without_it_last():
    assert [run.run_id[-1] for run in sort_runs(RUNS, "mean_iou")] == ["c", "a", "b"]
    assert [run.run_id[-1] for run in sort_runs(RUNS, "iou/road")] == ["c", "a", "b"]
    assert [run.run_id[-1] for run in sort_runs(RUNS, "mean_iou", split="val")] == ["a", "b", "c"]


def test_orders_without_metrics():
    assert [run.run_id[-1] for run in sort_runs(RUNS, "started")] == ["a", "b", "c"]
    assert [run.run_id[-1] for run in sort_runs(RUNS, "pipeline")] == ["a", "c", "b"]
    assert [run.run_id[-1] for run in sort_runs(RUNS, "status")] == ["a", "c", "b"]


def test_an_order_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(RefusedError, match=r"--sort accuracy.*mean_iou"):
        sort_runs(RUNS, "accuracy")


def test_the_limit_keeps_the_newest_or_the_best():
    assert [run.run_id[-1] for run in limit_runs(RUNS, "started", 2)] == ["b", "c"]
    best = sort_runs(RUNS, "mean_iou")
    assert [run.run_id[-1] for run in limit_runs(best, "mean_iou", 1)] == ["c"]


def test_a_metric_is_that_of_the_split_that_the_gates_judge():
    run = RunRecord(
        "r", "p", 0, "pushed", 1.0,
        metrics={"val": {"mean_iou": 0.1}, "test": {"mean_iou": 0.2}},
        configuration={"evaluation": {"gate_split": "val"}},
    )  # fmt: skip
    assert read_metric(run, "mean_iou") == 0.1
    assert read_metric(run, "mean_iou", "test") == 0.2


def test_states_may_be_written_with_a_hyphen():
    assert read_statuses(["not-blessed", "Failed"]) == ("not blessed", "failed")
    with pytest.raises(RefusedError, match="--status done"):
        read_statuses(["done"])


def test_since_is_a_date_a_time_or_a_span():
    now = datetime(2026, 3, 31, 12, 0)
    assert read_since("2026-03-30", now) == datetime(2026, 3, 30).timestamp()
    assert read_since("2026-03-30T06:30", now) == datetime(2026, 3, 30, 6, 30).timestamp()
    assert read_since("2026-03-30T06:30+00:00", now) == 1774852200.0
    assert read_since("36h", now) == datetime(2026, 3, 30, 0, 0).timestamp()
    assert read_since("2w", now) == datetime(2026, 3, 17, 12, 0).timestamp()


@pytest.mark.parametrize("text", ["yesterday", "7", "7y", "2026-13-01", "999999w", ""])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(RefusedError, match="is no time"):
        read_since(text, datetime(2026, 3, 31))
