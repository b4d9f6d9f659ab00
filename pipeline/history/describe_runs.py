"""Runs as documents, each with what was different from the run before of the same pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.history.compare_values import list_changes
from pipeline.history.run_documents import Changes, RunRow, RunWithChanges, SplitMetrics
from pipeline.tracking import RunRecord
from trainer.confusion_matrix import SUMMARY_METRICS


def describe_run(record: RunRecord) -> RunRow:
    """Returns a run in short."""
    return RunRow(**_row_values(record))


def describe_runs(records: Sequence[RunRecord], run_ids: Iterable[str]) -> list[RunWithChanges]:
    """Returns runs with their changes.

    Args:
        records: of every pipeline of the store, oldest first.
        run_ids: those that are wanted; the result has their order.
    """
    before: dict[str, RunRecord | None] = {}
    latest: dict[str, RunRecord] = {}
    for record in records:
        before[record.run_id] = latest.get(record.pipeline)
        latest[record.pipeline] = record
    by_id = {record.run_id: record for record in records}
    return [
        RunWithChanges(**_row_values(by_id[run_id]), changes=find_changes(before[run_id], by_id[run_id]))
        for run_id in run_ids
    ]


def find_changes(previous: RunRecord | None, record: RunRecord) -> Changes:
    """Returns what is not as it was in the run before."""
    if previous is None:
        return Changes(previous=None)
    return Changes(
        previous=previous.run_id,
        configuration=list_changes(previous.configuration, record.configuration),
        data=_differs(previous.data_fingerprint, record.data_fingerprint),
        code=_differs(previous.code_fingerprint, record.code_fingerprint),
        environment=_differs(previous.environment_fingerprint, record.environment_fingerprint),
    )


def gate_split(record: RunRecord) -> str:
    """Returns the split that a run is judged by: that of its gates, if it was evaluated."""
    wanted = (record.configuration.get("evaluation") or {}).get("gate_split", "test")
    return wanted if wanted in record.metrics else next(iter(record.metrics), "")


def read_metrics(values: Mapping[str, Any]) -> SplitMetrics:
    """Returns the metrics of a split from a summary, a verdict or a manifest."""
    known = {name: values.get(name) for name in SUMMARY_METRICS}
    return SplitMetrics(**known, iou=dict(values.get("iou") or {}))


def _differs(first: str | None, second: str | None) -> bool | None:
    return first != second if first and second else None


def _row_values(record: RunRecord) -> dict[str, Any]:
    values = {name: getattr(record, name) for name in RunRow.model_fields}
    return values | {"metrics": {split: read_metrics(of) for split, of in record.metrics.items()}}
