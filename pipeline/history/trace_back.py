"""From a pushed model or a run back to shards, snapshot, code, configuration and every source image."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb

from data.errors import RefusedError
from data.open_files import join_path, list_files
from pipeline import tracking
from pipeline.history.find_models import PushedVersion, list_pushed
from pipeline.history.lineage_documents import LineageDocument, LineageEdge, LineageNode, SourceImage
from pipeline.history.read_executions import read_code_fingerprint, read_executions, read_properties
from pipeline.history.read_files import FileReader, artifact_exists
from pipeline.history.trace_ancestors import SNAPSHOT_TYPE, Ancestors, Place, find_places, trace_ancestors
from pipeline.tracking import RunRecord

_TYPES_WITH_FILES = frozenset({"Examples", SNAPSHOT_TYPE, "Model"})
_MANIFEST_KEYS = ("run_id", "created", "model_fingerprint", "data_fingerprint", "code_fingerprint")


def trace_model(store: MetadataStore, records: Sequence[RunRecord], model: PushedVersion) -> LineageDocument:
    """Returns all that a pushed model was made from."""
    trace = _Trace(store, records)
    trace.add_ancestors([model.artifact_id])
    trace.add_model(model)
    return trace.to_document("model", f"model:{model.label}")


def trace_run(store: MetadataStore, records: Sequence[RunRecord], run: RunRecord) -> LineageDocument:
    """Returns all that a run made or reused, and what that was made from."""
    trace = _Trace(store, records)
    executions = read_executions(store, run)
    outputs = {one.id for execution in executions for found in execution.outputs.values() for one in found}
    inputs = {one.id for execution in executions for found in execution.inputs.values() for one in found}
    trace.add_ancestors(sorted(outputs | inputs))
    trace.add_run(run.run_id)
    for pushed in list_pushed(store):
        if pushed.artifact_id in outputs:
            trace.add_model(pushed)
    for artifact in sorted(outputs):
        trace.link_reused(run.run_id, artifact)
    return trace.to_document("run", f"run:{run.run_id}")


class _Trace:
    """A lineage document in the making."""

    def __init__(self, store: MetadataStore, records: Sequence[RunRecord]) -> None:
        self._store = store
        self._records = {record.run_id: record for record in records}
        self._files = FileReader()
        self._nodes: dict[str, LineageNode] = {}
        self._edges: dict[tuple[str, str, str], LineageEdge] = {}
        self._images: list[SourceImage] = []
        self._ancestors = Ancestors()
        self._places: Mapping[int, Place] = {}

    def add_ancestors(self, artifact_ids: Sequence[int]) -> None:
        self._ancestors = trace_ancestors(self._store, artifact_ids)
        self._places = find_places(self._store, self._ancestors.executions)
        for artifact in self._ancestors.artifacts.values():
            self._add(_describe_artifact(artifact))
        for execution in self._ancestors.executions.values():
            self._add_component(execution)
        for artifact_id, execution_id, key in sorted(self._ancestors.inputs):
            self._link(f"artifact:{artifact_id}", f"component:{execution_id}", key)
        for artifact_id, execution_id, key in sorted(self._ancestors.outputs):
            self._link(f"component:{execution_id}", f"artifact:{artifact_id}", key)
        self._add_images()

    def add_model(self, model: PushedVersion) -> None:
        manifest = self._files.read_json_file(join_path(model.path, "manifest.json"))
        facts = {key: manifest[key] for key in _MANIFEST_KEYS if key in manifest}
        node = LineageNode(
            id=f"model:{model.label}",
            kind="model",
            label=model.label,
            properties={"path": model.path, "exists": model.is_served, **facts},
        )
        self._add(node)
        self._link(f"artifact:{model.artifact_id}", node.id, "pushed")

    def add_run(self, run_id: str) -> None:
        record = self._records.get(run_id)
        if record is not None:
            self._add(_describe_run(record))

    def link_reused(self, run_id: str, artifact_id: int) -> None:
        """Links a run with the component of an earlier run whose output it reused."""
        for artifact, execution, _ in sorted(self._ancestors.outputs):
            if artifact == artifact_id and self._places[execution].run_id != run_id:
                self._link(f"run:{run_id}", f"component:{execution}", "reused")

    def to_document(self, kind: Any, subject: str) -> LineageDocument:
        return LineageDocument(
            kind=kind,
            subject=subject,
            nodes=tuple(self._nodes.values()),
            edges=tuple(self._edges.values()),
            images=tuple(self._images),
            sightings=(),
            notes=tuple(self._files.notes),
        )

    def _add_component(self, execution: pb.Execution) -> None:
        place = self._places[execution.id]
        seconds = (execution.last_update_time_since_epoch - execution.create_time_since_epoch) / 1000
        properties = {
            "run_id": place.run_id,
            "pipeline": place.pipeline,
            "state": tracking.STATES.get(execution.last_known_state, "unknown"),
            "seconds": round(seconds, 3),
            "code_fingerprint": read_code_fingerprint(execution),
        }
        known = {key: value for key, value in properties.items() if value is not None}
        self._add(
            LineageNode(id=f"component:{execution.id}", kind="component", label=place.node, properties=known)
        )
        self.add_run(place.run_id)
        if f"run:{place.run_id}" in self._nodes:
            self._link(f"run:{place.run_id}", f"component:{execution.id}", "ran")

    def _add_images(self) -> None:
        for artifact_id, execution_id, _ in sorted(self._ancestors.outputs):
            artifact = self._ancestors.artifacts[artifact_id]
            if artifact.type != SNAPSHOT_TYPE:
                continue
            images = self._files.read_snapshot(artifact) or {}
            self._images += images.values()
            for split, count in Counter(image.split for image in images.values()).items():
                node = LineageNode(
                    id=f"images:{artifact_id}:{split}", kind="images", label=f"{count} {split} images"
                )
                self._add(node)
                self._link(node.id, f"component:{execution_id}", split)

    def _add(self, node: LineageNode) -> None:
        self._nodes.setdefault(node.id, node)

    def _link(self, source: str, target: str, role: str) -> None:
        edge = LineageEdge(source=source, target=target, role=role)
        self._edges.setdefault((source, target, role), edge)


def fingerprint_configuration(configuration: Mapping[str, Any]) -> str:
    """Returns the SHA-256 of a configuration's canonical JSON."""
    return hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()


def _describe_run(record: RunRecord) -> LineageNode:
    properties = {
        "pipeline": record.pipeline,
        "started": record.started,
        "status": record.status,
        "configuration_fingerprint": fingerprint_configuration(record.configuration),
        "code_fingerprint": record.code_fingerprint,
        "environment_fingerprint": record.environment_fingerprint,
        "data_fingerprint": record.data_fingerprint,
    }
    known = {key: value for key, value in properties.items() if value is not None}
    return LineageNode(id=f"run:{record.run_id}", kind="run", label=record.run_id, properties=known)


def _describe_artifact(artifact: pb.Artifact) -> LineageNode:
    return LineageNode(
        id=f"artifact:{artifact.id}",
        kind="artifact",
        label=f"{artifact.type} {artifact.id}",
        properties={
            "type": artifact.type,
            "uri": artifact.uri,
            "exists": artifact_exists(artifact),
            **read_properties(artifact),
        },
        files=_list_files(artifact) if artifact.type in _TYPES_WITH_FILES else (),
    )


def _list_files(artifact: pb.Artifact) -> tuple[str, ...]:
    try:
        return tuple(join_path(artifact.uri, path) for path in list_files(artifact.uri).files)
    except (OSError, RefusedError):
        return ()
