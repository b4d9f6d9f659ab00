"""``deconvflow runs``: the runs of a workspace."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from rich.table import Table

from pipeline import console, tracking
from pipeline.workspace import Workspace


def print_runs(workspace: Path, as_json: bool) -> int:
    """Lists runs, oldest first. Returns the exit status.

    Raises:
        RefusedError: if the workspace has no metadata store.
    """
    records = tracking.list_runs(tracking.open_store(Workspace(workspace).metadata_db))
    if as_json:
        print(json.dumps({"runs": [record.to_json() for record in records]}))
    else:
        console.answers.print(_table(records))
    return 0


def _table(records: list[tracking.RunRecord]) -> Table:
    table = Table(title=None, header_style="bold")
    for heading in ("run", "pipeline", "started", "duration", "state"):
        table.add_column(heading, no_wrap=heading == "run")
    for heading in ("split", "pixel accuracy", "mean IoU", "version"):
        table.add_column(heading, justify="right")
    for record in records:
        split = "test" if "test" in record.metrics else next(iter(record.metrics), "")
        metrics = record.metrics.get(split, {})
        table.add_row(
            record.run_id,
            record.pipeline,
            f"{datetime.fromtimestamp(record.started):%Y-%m-%d %H:%M:%S}",
            format_seconds(record.seconds),
            record.status,
            split,
            _share(metrics.get("pixel_accuracy")),
            _share(metrics.get("mean_iou")),
            str(record.pushed_version or ""),
        )
    return table


def format_seconds(seconds: float) -> str:
    """Returns ``75`` as ``1 min 15 s``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
