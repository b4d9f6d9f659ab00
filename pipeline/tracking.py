"""The history of runs, read from ML Metadata. Needs ml_metadata only, neither TFX nor TensorFlow."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ml_metadata import MetadataStore, errors
from ml_metadata.proto import metadata_store_pb2 as pb

from data.errors import Problem, RefusedError
from data.parse_json import parse_json
from pipeline.connect_store import open_store as open_store
from pipeline.process_identity import describe_process as describe_process
from pipeline.process_identity import is_alive

PIPELINE_CONTEXT_TYPE = "pipeline"
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

_SILENT_AFTER_SECONDS = 24 * 3600
"""A run on another host that did not end for so long counts as interrupted: from here, nobody can tell."""

STATES = {
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
    """Names the list of all our source files; of runs without one, the fingerprint of what evaluated."""
    environment_fingerprint: str | None = None
    """Names the description of what the run ran on."""
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)
    tuning: dict[str, Any] | None = None
    """How many trials the Tuner made, and the best one's score; None without a Tuner."""
    error: str | None = None
    configuration: dict[str, Any] = field(default_factory=dict, repr=False)
    """The whole of it; not part of ``to_json``."""
    context_id: int = field(default=0, repr=False)
    """MLMD's; not part of ``to_json``."""

    def to_json(self) -> dict[str, Any]:
        """Returns the record as JSON values."""
        values = asdict(self)
        del values["configuration"], values["context_id"]
        return values


def list_runs(store: MetadataStore) -> list[RunRecord]:
    """Returns all runs, oldest first."""
    contexts = get_contexts(store, RUN_CONTEXT_TYPE)
    others = [context for context in contexts if CONFIG_PROPERTY not in context.custom_properties]
    pipelines = _name_pipelines(store) if others else {}
    records = (_read_record(context, pipelines.get(context.id, "")) for context in contexts)
    return sorted(records, key=lambda run: (run.started, run.run_id))


def get_contexts(store: MetadataStore, type_name: str) -> list[pb.Context]:
    """Returns all contexts of a type; none where the store does not know the type."""
    try:
        return list(store.get_contexts_by_type(type_name))
    except errors.NotFoundError:
        return []


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
    run = read_run(store, run_id)
    executions = sorted(store.get_executions_by_context(run.context_id), key=lambda execution: execution.id)
    names = name_nodes(store, run.pipeline, executions)
    return [
        ComponentRun(
            id=names[execution.id],
            state=STATES.get(execution.last_known_state, "unknown"),
            seconds=(execution.last_update_time_since_epoch - execution.create_time_since_epoch) / 1000,
            execution_id=execution.id,
        )
        for execution in executions
    ]


def name_nodes(store: MetadataStore, pipeline: str, executions: Sequence[pb.Execution]) -> dict[int, str]:
    """Returns the node of each execution of one run, by the execution's id.

    TFX names a node's context ``<pipeline>.<node>``, and a node after its class unless told otherwise.
    One query tells which nodes there are; only an execution whose class does not settle its node costs
    another one.
    """
    known = {context.name for context in get_contexts(store, NODE_CONTEXT_TYPE)}
    classes = {execution.id: execution.type.rsplit(".", 1)[-1] for execution in executions}
    count = Counter(classes.values())
    return {
        execution_id: name
        if count[name] == 1 and f"{pipeline}.{name}" in known
        else _ask_for_node(store, execution_id)
        for execution_id, name in classes.items()
    }


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


def put_run_properties(store: MetadataStore, run_id: str, properties: Mapping[str, str]) -> None:
    """Sets custom properties of a run's context, and leaves those alone that others set at the same time."""
    context = find_run(store, run_id)
    for key, value in properties.items():
        context.custom_properties[key].string_value = value
    if properties:
        store.put_contexts([context], [f"custom_properties.{key}" for key in properties])


def _read_record(context: pb.Context, pipeline: str = "") -> RunRecord:
    properties = context.custom_properties
    started = context.create_time_since_epoch / 1000
    config = _json(properties, CONFIG_PROPERTY)
    summary = _json(properties, SUMMARY_PROPERTY)
    if not summary:
        last = context.last_update_time_since_epoch / 1000
        alive = is_alive(_json(properties, PROCESS_PROPERTY))
        if alive is None:
            alive = time.time() - last < _SILENT_AFTER_SECONDS
        summary = {
            "status": "running" if alive else "interrupted",
            "seconds": (time.time() if alive else last) - started,
        }
    values = {
        "run_id": context.name,
        "pipeline": config.get("name", pipeline),
        "started": started,
        **{key: value for key, value in summary.items() if key in RunRecord.__dataclass_fields__},
        "configuration": config,
        "context_id": context.id,
    }
    for key, name in (("code_fingerprint", CODE_PROPERTY), ("environment_fingerprint", ENVIRONMENT_PROPERTY)):
        if name in properties:
            values[key] = properties[name].string_value
    return RunRecord(**values)


def _json(properties: Mapping[str, pb.Value], key: str) -> dict[str, Any]:
    text = properties[key].string_value if key in properties else ""
    try:
        value = parse_json(text) if text else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _name_pipelines(store: MetadataStore) -> dict[int, str]:
    """Returns the name of the pipeline of each run's context, for runs that others recorded."""
    return {
        child.id: parent.name
        for parent in get_contexts(store, PIPELINE_CONTEXT_TYPE)
        for child in store.get_children_contexts_by_context(parent.id)
    }


def _ask_for_node(store: MetadataStore, execution_id: int) -> str:
    for context in store.get_contexts_by_execution(execution_id):
        if context.type == NODE_CONTEXT_TYPE:
            return str(context.name).rsplit(".", 1)[-1]
    return str(execution_id)
