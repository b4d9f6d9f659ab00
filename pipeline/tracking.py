"""The history of runs, read from ML Metadata. Needs ml_metadata only, neither TFX nor TensorFlow."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ml_metadata import MetadataStore, errors
from ml_metadata.proto import metadata_store_pb2 as pb

from data.errors import Problem, RefusedError

RUN_CONTEXT_TYPE = "pipeline_run"
NODE_CONTEXT_TYPE = "node"
# Custom properties of a run's context, written by the runner.
CONFIG_PROPERTY = "deconvflow_config"
SUMMARY_PROPERTY = "deconvflow_summary"
PROCESS_PROPERTY = "deconvflow_process"
CODE_PROPERTY = "deconvflow_code"
"""Name of the list of source files that the run ran (``shared_facts.CODE_CONTEXT_TYPE``)."""
ENVIRONMENT_PROPERTY = "deconvflow_environment"
"""Name of the description of what it ran on (``shared_facts.ENVIRONMENT_CONTEXT_TYPE``)."""

_STATES = {
    pb.Execution.COMPLETE: "complete",
    pb.Execution.CACHED: "cached",
    pb.Execution.FAILED: "failed",
    pb.Execution.RUNNING: "running",
    pb.Execution.CANCELED: "canceled",
}


@dataclass(frozen=True)
class ComponentRun:
    """One component's execution in one run."""

    id: str
    state: str
    seconds: float
    execution_id: int


@dataclass(frozen=True)
class RunRecord:
    """One run, as the store knows it."""

    run_id: str
    pipeline: str
    started: float
    """Seconds since the epoch."""
    status: str
    """running, pushed, not blessed, refused, failed or interrupted."""
    seconds: float
    blessed: bool | None = None
    pushed_version: int | None = None
    pushed_uri: str | None = None
    report_uri: str | None = None
    data_fingerprint: str | None = None
    code_fingerprint: str | None = None
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns the record as JSON values."""
        return asdict(self)


def sqlite_connection(metadata_db: Path) -> pb.ConnectionConfig:
    """Returns the connection of an existing sqlite store.

    Raises:
        RefusedError: if there is none.
    """
    if not metadata_db.exists():
        raise RefusedError(
            [
                Problem(
                    str(metadata_db),
                    "does not exist: no run was recorded in this workspace",
                    "Name the workspace with --workspace, or start a run with `deconvflow run`",
                    "no_metadata",
                )
            ]
        )
    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = str(metadata_db)
    config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE
    return config


def open_store(metadata_db: Path) -> MetadataStore:
    """Opens the workspace's store for reading.

    Raises:
        RefusedError: if it does not exist or cannot be read.
    """
    connection = sqlite_connection(metadata_db)
    try:
        return MetadataStore(connection)
    except (errors.StatusError, RuntimeError) as error:
        raise RefusedError(
            [
                Problem(
                    str(metadata_db), f"cannot be opened: {error}", "Restore it from a backup", "bad_metadata"
                )
            ]
        ) from None


def list_runs(store: MetadataStore) -> list[RunRecord]:
    """Returns all runs, oldest first."""
    try:
        contexts = store.get_contexts_by_type(RUN_CONTEXT_TYPE)
    except errors.NotFoundError:
        return []
    return sorted((_read_record(context) for context in contexts), key=lambda run: (run.started, run.run_id))


def find_run(store: MetadataStore, run_id: str) -> pb.Context:
    """Returns the context of a run.

    Raises:
        RefusedError: if no run has that id.
    """
    context = store.get_context_by_type_and_name(RUN_CONTEXT_TYPE, run_id)
    if context is None:
        raise RefusedError(
            [Problem(f"run {run_id}", "does not exist", "`deconvflow runs` lists those that do", "no_run")]
        )
    return context


def read_run(store: MetadataStore, run_id: str) -> RunRecord:
    """Returns one run.

    Raises:
        RefusedError: if no run has that id.
    """
    return _read_record(find_run(store, run_id))


def read_components(store: MetadataStore, run_id: str) -> list[ComponentRun]:
    """Returns the executions of a run in the order in which they started."""
    executions = store.get_executions_by_context(find_run(store, run_id).id)
    names = _node_names(store, executions)
    return [
        ComponentRun(
            id=names.get(execution.id, str(execution.id)),
            state=_STATES.get(execution.last_known_state, "unknown"),
            seconds=(execution.last_update_time_since_epoch - execution.create_time_since_epoch) / 1000,
            execution_id=execution.id,
        )
        for execution in sorted(executions, key=lambda execution: execution.id)
    ]


def read_output_artifacts(store: MetadataStore, execution_id: int) -> dict[str, list[pb.Artifact]]:
    """Returns the output artifacts of one execution by output key, cached ones too."""
    events = store.get_events_by_execution_ids([execution_id])
    outputs = [event for event in events if event.type in (pb.Event.OUTPUT, pb.Event.DECLARED_OUTPUT)]
    by_id = {
        artifact.id: artifact
        for artifact in store.get_artifacts_by_id([event.artifact_id for event in outputs])
    }
    result: dict[str, list[pb.Artifact]] = {}
    for event in outputs:
        result.setdefault(event.path.steps[0].key, []).append(by_id[event.artifact_id])
    return result


def describe_process() -> str:
    """Returns what later tells whether the process of a run still lives."""
    return json.dumps(
        {"pid": os.getpid(), "host": socket.gethostname(), "started": _process_start(os.getpid())}
    )


def put_run_properties(store: MetadataStore, run_id: str, properties: Mapping[str, str]) -> None:
    """Sets custom properties of a run's context."""
    context = find_run(store, run_id)
    for key, value in properties.items():
        context.custom_properties[key].string_value = value
    store.put_contexts([context])


def _read_record(context: pb.Context) -> RunRecord:
    properties = context.custom_properties
    started = context.create_time_since_epoch / 1000
    config = _json(properties, CONFIG_PROPERTY)
    summary = _json(properties, SUMMARY_PROPERTY)
    if not summary:
        alive = _is_alive(_json(properties, PROCESS_PROPERTY))
        last = context.last_update_time_since_epoch / 1000
        summary = {
            "status": "running" if alive else "interrupted",
            "seconds": (time.time() if alive else last) - started,
        }
    known = {key: value for key, value in summary.items() if key in RunRecord.__dataclass_fields__}
    return RunRecord(
        **{"run_id": context.name, "pipeline": config.get("name", ""), "started": started, **known}
    )


def _json(properties: Mapping[str, pb.Value], key: str) -> dict[str, Any]:
    text = properties[key].string_value if key in properties else ""
    value = json.loads(text) if text else {}
    return value if isinstance(value, dict) else {}


def _process_start(pid: int) -> str:
    """Tells one process of this id from a later one: its start time in clock ticks since boot."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return ""


def _is_alive(process: Mapping[str, Any]) -> bool:
    if process.get("host") != socket.gethostname():
        return False
    start = _process_start(int(process["pid"]))
    return bool(start) and start == process.get("started")


def _node_names(store: MetadataStore, executions: Iterable[pb.Execution]) -> dict[int, str]:
    names = {}
    for execution in executions:
        for context in store.get_contexts_by_execution(execution.id):
            if context.type == NODE_CONTEXT_TYPE:
                # TFX names a node's context <pipeline>.<node>.
                names[execution.id] = context.name.rsplit(".", 1)[-1]
    return names
