"""All that is known of one run, from the metadata store and from what its components left in files."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb

from pipeline import shared_facts
from pipeline.history.describe_runs import describe_runs
from pipeline.history.read_evaluation import (
    read_data_gate,
    read_evaluation,
    read_quarantine,
    read_smoke_test,
)
from pipeline.history.read_executions import (
    Artifacts,
    ComponentExecution,
    find_makers,
    find_output,
    find_run_name,
    read_executions,
    read_parameters,
    read_properties,
)
from pipeline.history.read_files import TRAINING_FILE, FileReader, artifact_exists
from pipeline.history.read_tuning import read_tuning
from pipeline.history.run_documents import ArtifactDocument, ComponentDocument, ShowDocument
from pipeline.tracking import RunRecord
from pipeline.workspace import Workspace

_MAX_VALUE_CHARACTERS = 2000
_UNFINISHED = ("running", "unknown")


def explain_run(
    store: MetadataStore,
    workspace: Workspace,
    records: Sequence[RunRecord],
    run: RunRecord,
    locate: Callable[[str], str] | None = None,
) -> ShowDocument:
    """Returns the document of ``show``.

    Args:
        store: of the workspace.
        workspace: for the log.
        records: all runs, oldest first.
        run: one of them.
        locate: returns where the files of a URI are, where that is elsewhere; the document then says so.
    """
    files = FileReader()
    executions = read_executions(store, run)
    if locate is not None:
        run = _relocate(executions, run, locate)
    reused = _find_reused(store, executions)
    log = workspace.log_file(run.run_id)
    (row,) = describe_runs(records, [run.run_id])
    environments = shared_facts.read_facts(
        store, shared_facts.ENVIRONMENT_CONTEXT_TYPE, [run.environment_fingerprint or ""]
    )
    if run.report_uri and files.read_text(run.report_uri) is None:
        files.note(f"The report {run.report_uri} is not there any more.")
    return ShowDocument(
        run=row,
        components=tuple(_describe(one, run, reused, files) for one in executions),
        failed_component=next((one.node for one in executions if one.state == "failed"), None),
        evaluation=read_evaluation(executions, run, files),
        data_gate=read_data_gate(executions, files),
        quarantine=read_quarantine(executions, files),
        smoke_test=read_smoke_test(executions, files),
        tuning=read_tuning(executions, files),
        training=files.read_json(find_output(executions, "Trainer", "model_run"), TRAINING_FILE) or None,
        configuration=run.configuration,
        environment=environments.get(run.environment_fingerprint or ""),
        log=str(log) if log.exists() else None,
        notes=tuple(files.notes),
    )


def _relocate(
    executions: Sequence[ComponentExecution], run: RunRecord, locate: Callable[[str], str]
) -> RunRecord:
    """Puts places into artifacts, which are this reading's own; returns the run with its report's."""
    for one in executions:
        for artifact in (a for side in (one.inputs, one.outputs) for found in side.values() for a in found):
            artifact.uri = locate(artifact.uri)
    return replace(run, report_uri=locate(run.report_uri)) if run.report_uri else run


def describe_artifacts(artifacts: Artifacts, files: FileReader) -> dict[str, tuple[ArtifactDocument, ...]]:
    """Returns artifacts by key as documents."""
    return {key: tuple(_describe_artifact(one, files) for one in found) for key, found in artifacts.items()}


def _describe_artifact(artifact: pb.Artifact, files: FileReader) -> ArtifactDocument:
    value = files.read_text(artifact.uri) if artifact.type == "String" else None
    return ArtifactDocument(
        id=artifact.id,
        type=artifact.type,
        uri=artifact.uri,
        exists=artifact_exists(artifact),
        value=value[:_MAX_VALUE_CHARACTERS] if value is not None else None,
        properties=read_properties(artifact),
    )


def _describe(
    component: ComponentExecution, run: RunRecord, reused: Mapping[int, str], files: FileReader
) -> ComponentDocument:
    execution = component.execution
    ended: float | None = execution.last_update_time_since_epoch / 1000
    state = component.state
    if state in _UNFINISHED:
        is_running = run.status == "running"
        state, ended = ("running", time.time()) if is_running else ("interrupted", None)
    return ComponentDocument(
        id=component.node,
        state=state,
        seconds=None if ended is None else round(ended - execution.create_time_since_epoch / 1000, 3),
        execution_id=execution.id,
        reused_from=reused.get(execution.id),
        inputs=describe_artifacts(component.inputs, files),
        outputs=describe_artifacts(component.outputs, files),
        parameters=read_parameters(execution),
    )


def _find_reused(store: MetadataStore, executions: Sequence[ComponentExecution]) -> dict[int, str]:
    """Returns the run that made what each cached execution reused, by the execution's id."""
    first_outputs = {
        one.execution.id: next(iter(one.outputs.values()))[0].id
        for one in executions
        if one.execution.last_known_state == pb.Execution.CACHED and one.outputs
    }
    makers = find_makers(store, first_outputs.values())
    names: dict[int, str | None] = {maker: find_run_name(store, maker) for maker in set(makers.values())}
    found: dict[int, Any] = {
        execution_id: names.get(makers.get(artifact, 0)) for execution_id, artifact in first_outputs.items()
    }
    return {execution_id: name for execution_id, name in found.items() if name}
