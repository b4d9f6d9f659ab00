"""Records one step of a cluster's run in the team's own metadata store, as TFX's launcher does at home."""

from __future__ import annotations

import json
import logging
import os
import socket
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ml_metadata.proto import metadata_store_pb2 as pb
from tfx import types
from tfx.orchestration.portable import execution_publish_utils
from tfx.types import artifact_utils
from tfx.types.artifact import ArtifactState

from pipeline import tracking
from pipeline.cluster.record_reused import record_reused
from pipeline.register_run import StoreHandle, put_run_contexts, put_surroundings

ArtifactDict = Mapping[str, Sequence[types.Artifact]]

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class StepPlace:
    """Which step of which run this is."""

    pipeline: str
    run_id: str
    node: str


class StepRecord:
    """One execution in the making.

    Args:
        handle: an open store.
        place: of the step.
    """

    def __init__(self, handle: StoreHandle, place: StepPlace) -> None:
        self._handle = handle
        self._place = place
        self._contexts = put_run_contexts(handle, place.pipeline, place.run_id, place.node)
        self._execution_id = 0

    def read_configuration(self) -> str | None:
        """Returns the run's configuration as earlier steps recorded it; None if none did."""
        known = tracking.find_run(self._handle.store, self._place.run_id).custom_properties
        return known[tracking.CONFIG_PROPERTY].string_value if tracking.CONFIG_PROPERTY in known else None

    def describe_run(self, configuration: str | None) -> None:
        """Writes what the run is, as far as no earlier step has; a failure of this step before is forgotten.

        Args:
            configuration: canonical JSON, with the overrides of this run; None where this step has it not.
        """
        store, run_id = self._handle.store, self._place.run_id
        known = tracking.find_run(store, run_id).custom_properties
        properties: dict[str, str] = {tracking.PROCESS_PROPERTY: _describe_pod()}
        if tracking.CODE_PROPERTY not in known:
            properties |= put_surroundings(store)
        if configuration is not None:
            properties[tracking.CONFIG_PROPERTY] = configuration
        if self.read_summary().get("node") == self._place.node:
            properties[tracking.SUMMARY_PROPERTY] = ""
        tracking.put_run_properties(store, run_id, properties)

    def read_summary(self) -> dict[str, Any]:
        """Returns what the run came to so far; empty while nothing ended it."""
        properties = tracking.find_run(self._handle.store, self._place.run_id).custom_properties
        text = (
            properties[tracking.SUMMARY_PROPERTY].string_value
            if tracking.SUMMARY_PROPERTY in properties
            else ""
        )
        return dict(json.loads(text)) if text else {}

    def put_summary(self, summary: Mapping[str, Any]) -> None:
        """Writes what the run came to."""
        text = json.dumps(dict(summary))
        tracking.put_run_properties(self._handle.store, self._place.run_id, {tracking.SUMMARY_PROPERTY: text})

    @property
    def is_started(self) -> bool:
        """Whether the execution is registered."""
        return bool(self._execution_id)

    @property
    def run_started(self) -> float:
        """When the first step of the run registered it, in seconds since the epoch."""
        context = tracking.find_run(self._handle.store, self._place.run_id)
        return float(context.create_time_since_epoch) / 1000

    def start(
        self, execution_type: pb.ExecutionType, inputs: ArtifactDict, exec_properties: Mapping[str, Any]
    ) -> None:
        """Registers the execution as running, and what an earlier attempt left so as failed.

        Args:
            execution_type: see ``find_component.build_execution_type``.
            inputs: with the URIs of the object store.
            exec_properties: what the executor gets, nothing secret among it.
        """
        self._end_earlier_attempts()
        known = {key: [self._find_artifact(one) for one in found] for key, found in inputs.items()}
        record_reused(
            self._handle,
            self._contexts[:2],
            [artifact.id for artifacts in known.values() for artifact in artifacts if artifact.id],
        )
        execution = execution_publish_utils.register_execution(
            self._handle,
            execution_type,
            self._contexts,
            input_artifacts=known,
            exec_properties=dict(exec_properties),
        )
        self._execution_id = execution.id

    def finish(self, outputs: ArtifactDict) -> None:
        """Registers outputs, with the URIs of the object store, and the execution as complete."""
        execution_publish_utils.publish_succeeded_execution(
            self._handle, self._execution_id, self._contexts, output_artifacts=outputs
        )

    def fail(self) -> None:
        """Registers the execution as failed."""
        if self._execution_id:
            execution_publish_utils.publish_failed_execution(self._handle, self._contexts, self._execution_id)

    def _end_earlier_attempts(self) -> None:
        """Registers as failed what this step left running: its pod was killed before it could say so."""
        store, (_, run, node) = self._handle.store, self._contexts
        for execution in store.get_executions_by_context(run.id):
            if execution.last_known_state != pb.Execution.RUNNING:
                continue
            if node.id in {context.id for context in store.get_contexts_by_execution(execution.id)}:
                _LOGGER.warning("an earlier attempt of %s did not say how it ended", self._place.node)
                execution_publish_utils.publish_failed_execution(self._handle, self._contexts, execution.id)

    def find_data_fingerprint(self) -> str | None:
        """Returns the fingerprint of the data set that the run's snapshot took, if there is one yet."""
        store = self._handle.store
        for component in tracking.read_components(store, self._place.run_id):
            if component.id == "DatasetSnapshot":
                outputs = tracking.read_output_artifacts(store, component.execution_id)
                for artifact in outputs.get("snapshot", []):
                    return str(artifact.properties["fingerprint"].string_value) or None
        return None

    def _find_artifact(self, artifact: types.Artifact) -> types.Artifact:
        """Returns an artifact as it is recorded; as it was handed over where its step left no record."""
        for found in self._handle.store.get_artifacts_by_uri(artifact.uri):
            if found.type == artifact.type_name:
                return artifact_utils.deserialize_artifact(artifact.artifact_type, found)
        _LOGGER.warning("%s has no record; it is recorded now, without what made it", artifact.uri)
        copied = copy_artifact(artifact)
        copied.state = ArtifactState.PUBLISHED
        return copied


def copy_artifact(artifact: types.Artifact, uri: str | None = None) -> types.Artifact:
    """Returns a new artifact with the same type and properties, which no store knows yet.

    Args:
        artifact: as an executor has it.
        uri: the copy's; the same one if None.
    """
    copied = type(artifact)()
    proto = pb.Artifact()
    proto.CopyFrom(artifact.mlmd_artifact)
    for field in ("id", "name", "type_id"):
        proto.ClearField(field)
    proto.uri = artifact.uri if uri is None else uri
    for key in list(proto.custom_properties):
        if key in _OF_THE_BACKEND:
            del proto.custom_properties[key]
        else:
            _unwrap(proto.custom_properties[key], artifact.get_json_value_custom_property(key))
    copied.set_mlmd_artifact(proto)
    return copied


_OF_THE_BACKEND = frozenset({"store_session_info", "display_name"})


def _unwrap(value: pb.Value, plain: Any) -> None:
    """Gives a value that came through the backend, where all are JSON, the type that TFX had given it."""
    if not value.HasField("struct_value"):
        return
    if isinstance(plain, str):
        value.string_value = plain
    elif isinstance(plain, bool):
        value.bool_value = plain
    elif isinstance(plain, float) and plain.is_integer():
        value.int_value = int(plain)
    elif isinstance(plain, float):
        value.double_value = plain


def _describe_pod() -> str:
    """Returns what says that the run's processes cannot be looked for on any machine."""
    return json.dumps({"pid": os.getpid(), "host": f"pod {socket.gethostname()} {uuid.uuid4().hex[:8]}"})
