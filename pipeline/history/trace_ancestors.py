"""From artifacts back to all that they were made from, over MLMD's events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb

from pipeline import tracking
from pipeline.history.read_executions import INPUT_EVENTS, OUTPUT_EVENTS, find_makers, get_artifacts

SNAPSHOT_TYPE = "DatasetSnapshot"

Link = tuple[int, int, str]
"""(artifact, execution, key)."""


@dataclass
class Ancestors:
    """Part of the graph of artifacts and of the executions that made them."""

    artifacts: dict[int, pb.Artifact] = field(default_factory=dict)
    executions: dict[int, pb.Execution] = field(default_factory=dict)
    inputs: set[Link] = field(default_factory=set)
    outputs: set[Link] = field(default_factory=set)


@dataclass(frozen=True)
class Place:
    """Where an execution ran."""

    node: str
    run_id: str
    pipeline: str


def trace_ancestors(store: MetadataStore, artifact_ids: Iterable[int]) -> Ancestors:
    """Walks back from artifacts, a level of the graph at a time and with three queries a level.

    An artifact that cached executions reused is followed to the execution that made it. Of what else an
    execution made, only snapshots are kept: ingest takes the snapshot's fingerprint alone, and the list of
    files stands beside it.
    """
    found = Ancestors()
    wanted, seen = set(artifact_ids), set(artifact_ids)
    while wanted:
        makers = set(find_makers(store, wanted).values()) - found.executions.keys()
        events = store.get_events_by_execution_ids(sorted(makers)) if makers else []
        found.executions |= (
            {one.id: one for one in store.get_executions_by_id(sorted(makers))} if makers else {}
        )
        wanted = set()
        for event in events:
            link = (
                event.artifact_id,
                event.execution_id,
                event.path.steps[0].key if event.path.steps else "",
            )
            if event.type in INPUT_EVENTS:
                found.inputs.add(link)
                wanted |= {event.artifact_id} - seen
            elif event.type in OUTPUT_EVENTS:
                found.outputs.add(link)
        seen |= wanted
    made = get_artifacts(store, {artifact for artifact, _, _ in found.outputs} | seen)
    found.artifacts = {key: one for key, one in made.items() if key in seen or one.type == SNAPSHOT_TYPE}
    found.outputs = {link for link in found.outputs if link[0] in found.artifacts}
    return found


def find_places(store: MetadataStore, execution_ids: Iterable[int]) -> dict[int, Place]:
    """Returns where executions ran."""
    return {execution_id: _find_place(store, execution_id) for execution_id in execution_ids}


def name_maker(ancestors: Ancestors, places: Mapping[int, Place], artifact_id: int) -> int | None:
    """Returns the execution that made an artifact, if it is part of the graph."""
    makers = [execution for artifact, execution, _ in ancestors.outputs if artifact == artifact_id]
    return min((one for one in makers if one in places), default=None)


def _find_place(store: MetadataStore, execution_id: int) -> Place:
    names = {context.type: str(context.name) for context in store.get_contexts_by_execution(execution_id)}
    return Place(
        node=names.get(tracking.NODE_CONTEXT_TYPE, str(execution_id)).rsplit(".", 1)[-1],
        run_id=names.get(tracking.RUN_CONTEXT_TYPE, ""),
        pipeline=names.get(tracking.PIPELINE_CONTEXT_TYPE, ""),
    )
