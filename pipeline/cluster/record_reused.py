"""Records what a cluster's run took from the backend's cache.

The backend starts no container for a step whose result it has, so that step can record nothing. The next
one that does run finds its inputs made by another run, and records the steps that were passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ml_metadata import errors
from ml_metadata.proto import metadata_store_pb2 as pb

from pipeline import tracking
from pipeline.history.read_executions import INPUT_EVENTS, OUTPUT_EVENTS, find_makers, get_artifacts
from pipeline.register_run import StoreHandle


def record_reused(
    handle: StoreHandle, run_contexts: Sequence[pb.Context], artifact_ids: Iterable[int]
) -> None:
    """Records every step that made one of the artifacts, or what it was made from, in another run.

    Args:
        handle: an open store.
        run_contexts: the pipeline's and the run's.
        artifact_ids: inputs of a step of this run.
    """
    run = run_contexts[1]
    store = handle.store
    there = _list_nodes(handle, run)
    wanted, found = set(artifact_ids), list[tuple[pb.Execution, pb.Context, list[pb.Event]]]()
    while wanted:
        makers = sorted(set(find_makers(store, wanted).values()))
        wanted = set()
        for execution in store.get_executions_by_id(makers) if makers else []:
            contexts = store.get_contexts_by_execution(execution.id)
            node = next((one for one in contexts if one.type == tracking.NODE_CONTEXT_TYPE), None)
            if node is None or node.id in there or run.id in {one.id for one in contexts}:
                continue
            there.add(node.id)
            events = store.get_events_by_execution_ids([execution.id])
            found.append((execution, node, events))
            wanted |= {event.artifact_id for event in events if event.type in INPUT_EVENTS}
    for execution, node, events in reversed(found):
        _put_copy(store, [*run_contexts, node], execution, events)


def _list_nodes(handle: StoreHandle, run: pb.Context) -> set[int]:
    """Returns the contexts of the nodes that are recorded in a run."""
    store = handle.store
    return {
        context.id
        for execution in store.get_executions_by_context(run.id)
        for context in store.get_contexts_by_execution(execution.id)
        if context.type == tracking.NODE_CONTEXT_TYPE
    }


def _put_copy(
    store: Any, contexts: Sequence[pb.Context], execution: pb.Execution, events: Sequence[pb.Event]
) -> None:
    copied = pb.Execution(type_id=execution.type_id, last_known_state=pb.Execution.CACHED)
    # The name is taken once: of steps that run at the same time, one records it.
    copied.name = f"{contexts[1].name}/{contexts[2].name}/reused"
    for key, value in execution.custom_properties.items():
        copied.custom_properties[key].CopyFrom(value)
    kinds = (*INPUT_EVENTS, *OUTPUT_EVENTS)
    artifacts = get_artifacts(store, {event.artifact_id for event in events})
    pairs = []
    for event in events:
        if event.type in kinds and event.artifact_id in artifacts:
            again = pb.Event(type=event.type, artifact_id=event.artifact_id)
            again.path.CopyFrom(event.path)
            pairs.append((artifacts[event.artifact_id], again))
    try:
        # These contexts were read a while ago: what others wrote into them since is to stay.
        store.put_execution(copied, pairs, list(contexts), force_reuse_context=True)
    except errors.AlreadyExistsError:
        return
