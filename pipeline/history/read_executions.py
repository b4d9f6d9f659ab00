"""The components of a run with their inputs and outputs, in a handful of queries however many they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format
from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb

from data.parse_json import parse_json
from pipeline import tracking
from pipeline.tracking import RunRecord

OUTPUT_EVENTS = (pb.Event.OUTPUT, pb.Event.DECLARED_OUTPUT)
INPUT_EVENTS = (pb.Event.INPUT, pb.Event.DECLARED_INPUT)

Artifacts = Mapping[str, Sequence[pb.Artifact]]


@dataclass(frozen=True)
class ComponentExecution:
    """One component in one run; what a cached one reused is among its outputs."""

    node: str
    execution: pb.Execution
    inputs: Artifacts
    outputs: Artifacts

    @property
    def state(self) -> str:
        """The state, as MLMD has it."""
        return tracking.STATES.get(self.execution.last_known_state, "unknown")


def read_executions(store: MetadataStore, run: RunRecord) -> list[ComponentExecution]:
    """Returns a run's components in the order in which they started."""
    executions = sorted(store.get_executions_by_context(run.context_id), key=lambda execution: execution.id)
    names = tracking.name_nodes(store, run.pipeline, executions)
    events = store.get_events_by_execution_ids(names) if names else []
    artifacts = get_artifacts(store, {event.artifact_id for event in events})
    return [
        ComponentExecution(
            node=names[execution.id],
            execution=execution,
            inputs=_group(events, execution.id, INPUT_EVENTS, artifacts),
            outputs=_group(events, execution.id, OUTPUT_EVENTS, artifacts),
        )
        for execution in executions
    ]


def get_artifacts(store: MetadataStore, ids: Iterable[int]) -> dict[int, pb.Artifact]:
    """Returns artifacts by id."""
    wanted = sorted(set(ids))
    return {artifact.id: artifact for artifact in store.get_artifacts_by_id(wanted)} if wanted else {}


def find_output(executions: Iterable[ComponentExecution], node: str, key: str) -> pb.Artifact | None:
    """Returns one output of one component; None where the run did not get so far."""
    for execution in executions:
        if execution.node == node and execution.outputs.get(key):
            return execution.outputs[key][0]
    return None


def find_makers(store: MetadataStore, artifact_ids: Iterable[int]) -> dict[int, int]:
    """Returns the id of the execution that made each artifact.

    An artifact is the output of every cached execution that reused it, too. All of those came later, so
    the first is the one that made it.
    """
    wanted = sorted(set(artifact_ids))
    makers: dict[int, int] = {}
    for event in store.get_events_by_artifact_ids(wanted) if wanted else []:
        if event.type in OUTPUT_EVENTS:
            makers[event.artifact_id] = min(
                event.execution_id, makers.get(event.artifact_id, event.execution_id)
            )
    return makers


def find_run_name(store: MetadataStore, execution_id: int) -> str | None:
    """Returns the id of the run in which an execution ran."""
    for context in store.get_contexts_by_execution(execution_id):
        if context.type == tracking.RUN_CONTEXT_TYPE:
            return str(context.name)
    return None


def read_parameters(execution: pb.Execution) -> dict[str, Any]:
    """Returns a component's parameters as JSON values; texts that hold JSON are decoded."""
    properties = execution.custom_properties
    return {key: _decode(read_value(properties[key])) for key in sorted(properties)}


def read_code_fingerprint(execution: pb.Execution) -> str | None:
    """Returns the fingerprint of the code that a component ran, if it is one of its parameters."""
    parameters = read_parameters(execution)
    custom = parameters.get("custom_config")
    value = parameters.get("code_fingerprint") or (
        isinstance(custom, dict) and custom.get("code_fingerprint")
    )
    return str(value) if value else None


def read_properties(artifact: pb.Artifact) -> dict[str, Any]:
    """Returns an artifact's properties as JSON values, without those that are empty."""
    both = {**artifact.properties, **artifact.custom_properties}
    values = {key: read_value(both[key]) for key in sorted(both)}
    return {key: value for key, value in values.items() if value not in ("", None) and key not in _OF_TFX}


_OF_TFX = frozenset({"tfx_version", "is_external", "__is_null__"})


def read_value(value: pb.Value) -> Any:
    """Returns an MLMD value as a JSON value."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    found = getattr(value, kind)
    if kind in ("struct_value", "proto_value"):
        found = json_format.MessageToDict(found)
        # TFX wraps what MLMD has no type for: {"__value__": "<JSON>"}.
        wrapped = found.get("__value__") if isinstance(found, dict) else None
        return _decode(wrapped) if isinstance(wrapped, str) else found
    return found


def _decode(value: Any) -> Any:
    """Returns what a text that looks like a JSON object or list stands for, nested texts too."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            value = parse_json(value)
        except ValueError:
            return value
    if isinstance(value, dict):
        return {key: _decode(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_decode(child) for child in value]
    return value


def _group(
    events: Iterable[pb.Event],
    execution_id: int,
    kinds: tuple[int, ...],
    artifacts: Mapping[int, pb.Artifact],
) -> dict[str, list[pb.Artifact]]:
    grouped: dict[str, list[pb.Artifact]] = {}
    for event in events:
        if event.execution_id == execution_id and event.type in kinds and event.artifact_id in artifacts:
            key = event.path.steps[0].key if event.path.steps else ""
            grouped.setdefault(key, []).append(artifacts[event.artifact_id])
    return dict(sorted(grouped.items()))
