"""``deconvflow runs``: the runs of a workspace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.markup import escape
from rich.table import Table

from pipeline import console, tracking
from pipeline.format_answers import format_changes, format_share, format_time, mark_status, short
from pipeline.format_answers import format_seconds as format_seconds
from pipeline.history import find_runs
from pipeline.history.describe_runs import describe_runs, gate_split
from pipeline.history.run_documents import RunsDocument, RunWithChanges, SplitMetrics, TuningSummary
from pipeline.store_address import find_store
from pipeline.workspace import Workspace

TABLE_ROWS = 50
"""Runs in a table, unless --limit says otherwise; --json has no such limit."""
_WIDE = 145
"""Characters of a terminal with room for all columns."""


@dataclass(frozen=True)
class RunsQuery:
    """The options of the command."""

    pipeline: str | None = None
    statuses: tuple[str, ...] = ()
    since: str | None = None
    blessed: bool | None = None
    sort: str = "started"
    split: str | None = None
    limit: int | None = None


def print_runs(workspace: Workspace, as_json: bool, query: RunsQuery | None = None) -> int:
    """Lists runs, oldest first unless told otherwise. Returns the exit status.

    Raises:
        RefusedError: if the workspace has no metadata store, or an option makes no sense.
    """
    query = query or RunsQuery()
    wanted = find_runs.RunFilter(
        pipeline=query.pipeline,
        statuses=find_runs.read_statuses(query.statuses),
        since=find_runs.read_since(query.since, datetime.now()) if query.since else None,
        blessed=query.blessed,
    )
    records = tracking.list_runs(tracking.open_store(find_store(workspace)))
    found = find_runs.sort_runs([run for run in records if wanted.passes(run)], query.sort, query.split)
    limit = query.limit or (None if as_json else TABLE_ROWS)
    shown = find_runs.limit_runs(found, query.sort, limit)
    rows = describe_runs(records, [run.run_id for run in shown])
    document = RunsDocument(runs=tuple(rows), total=len(records))
    if as_json:
        print(document.model_dump_json())
        return 0
    console.answers.print(_table(rows, [query.split or gate_split(run) for run in shown]))
    if len(shown) < len(records):
        hint = f"; --limit {len(found)} shows the rest" if len(shown) < len(found) else ""
        console.answers.print(f"{len(shown)} of {len(records)} runs{hint}")
    return 0


def _table(rows: Sequence[RunWithChanges], splits: Sequence[str]) -> Table:
    """Returns the table; where there is little room, what can be done without is left out."""
    wide = console.answers.width >= _WIDE
    cells = [_cells(row, split) for row, split in zip(rows, splits, strict=True)]
    left_out = set() if wide else set(_ONLY_WIDE)
    if len({row.pipeline for row in rows}) == 1:
        left_out.add("pipeline")
    if len(named := {cell["split"] for cell in cells} - {""}) == 1:
        left_out.add("split")
    if not any(cell["trials"] for cell in cells):
        left_out.add("trials")
    columns = [column for column in _COLUMNS if column not in left_out]
    table = Table(header_style="bold")
    if "split" in left_out and named:
        table.caption, table.caption_justify = f"metrics on {escape(named.pop())}", "left"
    for column in columns:
        table.add_column(
            _HEADINGS.get(column, column),
            justify="right" if column in _RIGHT else "left",
            no_wrap=column != _CHANGES,
            overflow="fold",
            min_width=18 if column == _CHANGES else None,
        )
    for cell in cells:
        table.add_row(*(cell[column] for column in columns))
    return table


_CHANGES = "changed since the run before"
_COLUMNS = (
    "run", "pipeline", "started", "duration", "state", "data", _CHANGES,
    "trials", "split", "pixel accuracy", "mean IoU", "blessed", "version",
)  # fmt: skip
_ONLY_WIDE = frozenset({"started", "duration", "data", "split", "pixel accuracy", "blessed"})
_HEADINGS = {_CHANGES: "changed since\nthe run before", "pixel accuracy": "pixel\naccuracy"}
_RIGHT = frozenset({"duration", "pixel accuracy", "mean IoU", "version"})


def _cells(row: RunWithChanges, split: str) -> dict[str, str]:
    metrics = row.metrics.get(split) or SplitMetrics()
    return {
        "run": escape(row.run_id),
        "pipeline": escape(row.pipeline),
        "started": format_time(row.started),
        "duration": format_seconds(row.seconds),
        "state": mark_status(row.status),
        "data": short(row.data_fingerprint),
        _CHANGES: escape(format_changes(row.changes)),
        "trials": _name_trials(row.tuning),
        "split": escape(split) if row.metrics else "",
        "pixel accuracy": format_share(metrics.pixel_accuracy),
        "mean IoU": format_share(metrics.mean_iou),
        "blessed": {True: "yes", False: "no", None: ""}[row.blessed],
        "version": str(row.pushed_version or ""),
    }


def _name_trials(tuning: TuningSummary | None) -> str:
    """Returns ``3, best 0.6123``, and how many failed."""
    if tuning is None:
        return ""
    failed = tuning.trials - tuning.completed
    parts = [
        str(tuning.trials),
        f"{failed} failed" if failed else "",
        f"best {format_share(tuning.best_score)}",
    ]
    return ", ".join(part for part in parts if part)
