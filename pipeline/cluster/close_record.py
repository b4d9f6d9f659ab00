"""Writes the end of a run where no step of it could: its pod was killed, or never started."""

from __future__ import annotations

import json
import time

from ml_metadata import MetadataStore, errors
from ml_metadata.proto import metadata_store_pb2 as pb

from data.errors import RefusedError
from pipeline import tracking
from pipeline.cluster.follow_run import Ending
from pipeline.store_address import parse_address

_STATUSES = {"FAILED": "failed", "CANCELED": "interrupted"}


def close_record(store: str | None, run_id: str, ending: Ending) -> None:
    """Records what the backend says of a run that has ended, unless its steps have said how.

    Does nothing where the store cannot be opened or may not be written to: readers then go by the time
    that a run has been silent.

    Args:
        store: the address of the metadata store; None where none is named.
        run_id: the run.
        ending: how it ended.
    """
    status = _STATUSES.get(ending.state or "")
    if store is None or status is None:
        return
    try:
        _close(tracking.open_store(parse_address(store, "--store")), run_id, status, ending)
    except (RefusedError, errors.StatusError, RuntimeError):
        return


def _close(store: MetadataStore, run_id: str, status: str, ending: Ending) -> None:
    context = tracking.find_run(store, run_id)
    properties = context.custom_properties
    if tracking.SUMMARY_PROPERTY in properties and properties[tracking.SUMMARY_PROPERTY].string_value:
        return
    left = [
        execution
        for execution in store.get_executions_by_context(context.id)
        if execution.last_known_state == pb.Execution.RUNNING
    ]
    for execution in left:
        execution.last_known_state = pb.Execution.FAILED
    if left:
        store.put_executions(left)
    failed = next((task for task in ending.tasks if task.state == "FAILED"), None)
    said = ending.error or (failed.error if failed else None) or "no step told why"
    summary = {
        "status": status,
        "error": f"the backend says {(ending.state or '').lower()}: {said}",
        "node": failed.name if failed else None,
        "seconds": time.time() - context.create_time_since_epoch / 1000,
    }
    tracking.put_run_properties(store, run_id, {tracking.SUMMARY_PROPERTY: json.dumps(summary)})
