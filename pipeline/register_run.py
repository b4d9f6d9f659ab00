"""Writes a run into the metadata store before anything of it runs. Needs TFX, but no component."""

from __future__ import annotations

import random
import time

from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb
from tfx.orchestration import metadata
from tfx.orchestration.portable.mlmd import context_lib

from pipeline import shared_facts, tracking
from pipeline.config import PipelineConfig, config_json
from pipeline.connect_store import Connection, address_of, new_store
from pipeline.describe_environment import describe_environment
from pipeline.fingerprint_code import list_code
from pipeline.wait_for_store import wait_for_store

_MAX_ATTEMPTS = 10


class StoreHandle(metadata.Metadata):
    """TFX's handle, on a store that ``connect_store`` opens."""

    def __enter__(self) -> StoreHandle:
        wait_for_store(address_of(self._connection_config))
        for attempt in range(_MAX_ATTEMPTS):
            try:
                self._store = new_store(self._connection_config)
                break
            except RuntimeError:
                # Another process may be making the tables: MLMD then gives up, and asks to be called again.
                # Or a server is there again, and not ready yet.
                if attempt == _MAX_ATTEMPTS - 1:
                    raise
                time.sleep(random.random() * (attempt + 1))
        self._users += 1
        return self


def register_run(config: PipelineConfig, connection: Connection, run_id: str) -> None:
    """Writes the run's context before anything runs, so that a run that dies at once is known too."""
    with StoreHandle(connection) as handle:
        put_run_contexts(handle, config.name, run_id)
        facts = put_surroundings(handle.store)
        properties = {
            tracking.CONFIG_PROPERTY: config_json(config),
            tracking.PROCESS_PROPERTY: tracking.describe_process(),
        }
        tracking.put_run_properties(handle.store, run_id, properties | facts)


def put_run_contexts(
    handle: metadata.Metadata, pipeline: str, run_id: str, node: str | None = None
) -> list[pb.Context]:
    """Returns the contexts of a pipeline, a run and one of its nodes; makes those that are missing."""
    parent = context_lib.register_context_if_not_exists(handle, tracking.PIPELINE_CONTEXT_TYPE, pipeline)
    run = context_lib.register_context_if_not_exists(
        handle, tracking.RUN_CONTEXT_TYPE, run_id, parent_contexts=[parent]
    )
    if node is None:
        return [parent, run]
    name = f"{pipeline}.{node}"
    return [
        parent,
        run,
        context_lib.register_context_if_not_exists(handle, tracking.NODE_CONTEXT_TYPE, name),
    ]


def put_surroundings(store: MetadataStore) -> dict[str, str]:
    """Stores our source files' digests and the environment; returns the properties that name them."""
    code, environment = list_code(), describe_environment()
    return {
        tracking.CODE_PROPERTY: shared_facts.put_facts(store, shared_facts.CODE_CONTEXT_TYPE, code),
        tracking.ENVIRONMENT_PROPERTY: shared_facts.put_facts(
            store, shared_facts.ENVIRONMENT_CONTEXT_TYPE, environment
        ),
    }
