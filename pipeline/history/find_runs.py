"""Which runs are meant: by id, beginning or ``latest``; by filters; in an order."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from data.errors import Problem, RefusedError
from pipeline.history.describe_runs import gate_split
from pipeline.tracking import RunRecord
from trainer.confusion_matrix import SUMMARY_METRICS

LATEST = "latest"
STATUSES = ("running", "pushed", "not blessed", "refused", "failed", "interrupted")

_IOU_PREFIX = "iou/"
_SPANS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_ORDERS: dict[str, Callable[[RunRecord], Any]] = {
    "started": lambda run: run.started,
    "pipeline": lambda run: (run.pipeline, run.started),
    "status": lambda run: (STATUSES.index(run.status) if run.status in STATUSES else 9, run.started),
    "duration": lambda run: -run.seconds,
    "version": lambda run: -(run.pushed_version or 0),
}


@dataclass(frozen=True)
class RunFilter:
    """What is asked of runs; None asks nothing."""

    pipeline: str | None = None
    statuses: tuple[str, ...] = ()
    since: float | None = None
    """Seconds since the epoch."""
    blessed: bool | None = None

    def passes(self, run: RunRecord) -> bool:
        """Says whether a run is asked for."""
        return (
            (self.pipeline is None or run.pipeline == self.pipeline)
            and (not self.statuses or run.status in self.statuses)
            and (self.since is None or run.started >= self.since)
            and (self.blessed is None or bool(run.blessed) == self.blessed)
        )


def resolve_run(runs: Sequence[RunRecord], text: str) -> RunRecord:
    """Returns the run that is meant.

    Args:
        runs: oldest first.
        text: an id, the beginning of only one, or ``latest``.

    Raises:
        RefusedError: if none or several are meant.
    """
    if text == LATEST and runs:
        return runs[-1]
    exact = [run for run in runs if run.run_id == text]
    found = exact or [run for run in runs if text and run.run_id.startswith(text)]
    if len(found) == 1:
        return found[0]
    if not found:
        what, remedy = "does not exist", "`deconvflow runs` lists those that do"
        raise RefusedError([Problem(f"run {text}", what, remedy, "no_run")])
    shown = ", ".join(run.run_id for run in found[:5]) + (" and others" if len(found) > 5 else "")
    what = f"is the beginning of {len(found)} runs: {shown}"
    raise RefusedError([Problem(f"run {text}", what, "Give more of the id", "ambiguous_run")])


def resolve_runs(runs: Sequence[RunRecord], texts: Sequence[str]) -> list[RunRecord]:
    """Returns several runs, in the order in which they are named.

    Raises:
        RefusedError: if one cannot be told, or is named twice.
    """
    found = [resolve_run(runs, text) for text in texts]
    for index, run in enumerate(found):
        if run in found[:index]:
            what = "is named twice"
            raise RefusedError([Problem(f"run {run.run_id}", what, "Name different runs", "same_run")])
    return found


def read_statuses(texts: Sequence[str]) -> tuple[str, ...]:
    """Returns states as they are recorded; ``not-blessed`` will do for ``not blessed``.

    Raises:
        RefusedError: if one is no state of a run.
    """
    found = tuple(text.lower().replace("-", " ").replace("_", " ") for text in texts)
    for text, status in zip(texts, found, strict=True):
        if status not in STATUSES:
            remedy = f"Take one of: {', '.join(STATUSES)}"
            raise RefusedError([Problem(f"--status {text}", "is no state of a run", remedy, "bad_option")])
    return found


def read_since(text: str, now: datetime) -> float:
    """Returns a point of time, in seconds since the epoch.

    Args:
        text: a date or time in ISO 8601 (local time unless it says otherwise), or how long ago: ``7d``.
        now: the time with which ``text`` counts, in local time.

    Raises:
        RefusedError: if it is neither.
    """
    try:
        if match := re.fullmatch(r"(\d{1,6})([mhdw])", text):
            return (now - timedelta(**{_SPANS[match[2]]: int(match[1])})).timestamp()
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        remedy = (
            "Give a date such as 2026-03-31, a time such as 2026-03-31T08:00, or a span such as 12h or 7d"
        )
        raise RefusedError([Problem(f"--since {text}", "is no time", remedy, "bad_option")]) from None


def sort_runs(runs: Sequence[RunRecord], order: str, split: str | None = None) -> list[RunRecord]:
    """Returns runs in an order: oldest first, longest first, or best metric first.

    Args:
        runs: oldest first.
        order: ``started``, ``duration``, ``pipeline``, ``status``, ``version``, or a metric's name.
        split: whose metric; None for the split that each run's gates judge.

    Raises:
        RefusedError: if there is no such order.
    """
    if order in _ORDERS:
        return sorted(runs, key=_ORDERS[order])
    if order not in SUMMARY_METRICS and not order.startswith(_IOU_PREFIX):
        known = ", ".join((*_ORDERS, *SUMMARY_METRICS, "iou/<class>"))
        raise RefusedError(
            [Problem(f"--sort {order}", "is no order of runs", f"Take one of: {known}", "bad_option")]
        )
    values = {run.run_id: read_metric(run, order, split) for run in runs}
    known_first = [run for run in runs if values[run.run_id] is not None]
    unknown = [run for run in runs if values[run.run_id] is None]
    return [*sorted(known_first, key=lambda run: -(values[run.run_id] or 0.0)), *unknown]


def read_metric(run: RunRecord, name: str, split: str | None = None) -> float | None:
    """Returns one metric of a run; None if it was not evaluated or the metric is undefined."""
    metrics = run.metrics.get(split or gate_split(run)) or {}
    if name.startswith(_IOU_PREFIX):
        return (metrics.get("iou") or {}).get(name.removeprefix(_IOU_PREFIX))
    return metrics.get(name)


def limit_runs(runs: Sequence[RunRecord], order: str, limit: int | None) -> list[RunRecord]:
    """Returns at most ``limit`` runs: the newest in order of time, else the first."""
    if limit is None:
        return list(runs)
    return list(runs[-limit:] if order == "started" else runs[:limit])
