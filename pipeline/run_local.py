"""Runs the pipeline on this machine, our records around it."""

from __future__ import annotations

import json
import logging
import secrets
import tempfile
import time
import traceback
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from data import progress
from data.errors import Problem, RefusedError
from data.open_files import is_remote
from data.replace_file import replace_file
from pipeline import tracking
from pipeline.command_documents import ComponentState, RunDocument
from pipeline.config import PipelineConfig
from pipeline.connect_store import connect, open_store
from pipeline.explain_fault import explain_fault
from pipeline.history.describe_runs import describe_run
from pipeline.history.read_evaluation import read_gate
from pipeline.history.read_files import TRIALS_FILE
from pipeline.history.read_tuning import summarise_trials
from pipeline.lean_imports import lean_imports
from pipeline.sqlite_faults import refuse_bad_file
from pipeline.store_address import StoreAddress, find_store, remember_store
from pipeline.wait_for_store import wait_for_store
from pipeline.workspace import Workspace

EXIT_PUSHED, EXIT_FAILED, EXIT_REFUSED, EXIT_NOT_BLESSED = 0, 1, 2, 3
_EXIT_CODES = {"pushed": EXIT_PUSHED, "not blessed": EXIT_NOT_BLESSED, "refused": EXIT_REFUSED}


@dataclass(frozen=True)
class RunResult:
    """What a run came to."""

    record: tracking.RunRecord
    components: tuple[tracking.ComponentRun, ...]
    verdict: dict[str, Any]
    """The Evaluator's verdict.json; empty if the run did not get that far."""
    problems: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 pushed, 1 a component failed, 2 refused, 3 evaluated and not blessed."""
        return _EXIT_CODES.get(self.record.status, EXIT_FAILED)

    def to_document(self) -> RunDocument:
        """Returns the document of ``run --json``."""
        components = [
            ComponentState(id=component.id, state=component.state, seconds=round(component.seconds, 3))
            for component in self.components
        ]
        return RunDocument(
            **dict(describe_run(self.record)),
            components=tuple(components),
            gates=tuple(read_gate(gate) for gate in self.verdict.get("gates", [])),
            problems=self.problems,
        )


def new_run_id() -> str:
    """Returns an id that sorts by time."""
    return f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def run_pipeline(config: PipelineConfig, workspace: Workspace, run_id: str) -> RunResult:
    """Runs every component whose inputs, code or configuration changed.

    The caller has already sent the libraries' noise elsewhere (``console.quiet``).

    Args:
        config: validated; ``data.root`` is absolute.
        workspace: made where it does not exist.
        run_id: names the run in the metadata store.
    """
    workspace.root.mkdir(parents=True, exist_ok=True)
    address = find_store(workspace, config.metadata.store)
    if address.path is not None:
        refuse_bad_file(address.path)
        open_store(address, create=True)
    connection = connect(address)
    with progress.current().stage("loading TensorFlow and TFX"), lean_imports():
        from pipeline import execute_dag
    started = time.monotonic()
    execute_dag.register_run(config, connection, run_id)
    remember_store(workspace, address)
    error: BaseException | None = None
    try:
        _log_all()
        execute_dag.execute(config, workspace, connection, run_id)
    except (Exception, KeyboardInterrupt) as caught:
        logging.getLogger(__name__).error("%s", traceback.format_exc())
        error = caught
    return _conclude(workspace, address, run_id, error, time.monotonic() - started)


def _log_all() -> None:
    """Lets TFX's messages through to the log."""
    from absl import logging as absl_logging

    absl_logging.set_verbosity(absl_logging.INFO)


def _conclude(
    workspace: Workspace, address: StoreAddress, run_id: str, error: BaseException | None, seconds: float
) -> RunResult:
    if not isinstance(error, RefusedError):  # Else a store that is away was waited for already.
        wait_for_store(address)
    store = tracking.open_store(address)
    components = tuple(tracking.read_components(store, run_id))
    outputs = {
        component.id: tracking.read_output_artifacts(store, component.execution_id)
        for component in components
    }
    verdict = _read_verdict(outputs)
    fault = None if error is None else explain_fault(error, list_places(workspace), str(address))
    summary = _summarise(outputs, verdict, error, fault) | {"seconds": seconds}
    if report := _copy_page(outputs, workspace.report(run_id)):
        summary["report_uri"] = str(report)
    tracking.put_run_properties(store, run_id, {tracking.SUMMARY_PROPERTY: json.dumps(summary)})
    record = tracking.read_run(store, run_id)
    if report:
        from pipeline.make_report import publish_report

        # Takes the copy's place, and knows what the run came to; where that fails, the copy stays.
        publish_report(store, workspace, run_id)
    found = error.problems if isinstance(error, RefusedError) else [fault] if fault else []
    problems = tuple(problem.sentence() for problem in found)
    return RunResult(record, components, verdict, problems)


def list_places(workspace: Workspace) -> list[Path]:
    """Returns the folders of this machine that a run writes to."""
    places = [workspace.root, Path(tempfile.gettempdir())]
    if workspace.push_root and not is_remote(workspace.push_root):
        places.append(Path(workspace.push_root))
    return places


def _summarise(
    outputs: dict[str, Any],
    verdict: dict[str, Any],
    error: BaseException | None,
    fault: Problem | None = None,
) -> dict[str, Any]:
    summary: dict[str, Any] = {
        "blessed": verdict.get("blessed"),
        "metrics": verdict.get("metrics", {}),
        "data_fingerprint": _read_data_fingerprint(outputs),
        "code_fingerprint": verdict.get("code_fingerprint"),
        "tuning": _read_tuning(outputs),
    }
    if error is not None:
        refused = isinstance(error, RefusedError)
        text = fault.sentence() if fault else str(error) or type(error).__name__
        status = "refused" if refused else "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        return summary | {"status": status, "error": text[:10_000]}
    properties = outputs["Pusher"]["pushed_model"][0].custom_properties
    if not properties["pushed"].int_value:
        return summary | {"status": "not blessed", "blessed": False}
    return summary | {
        "status": "pushed",
        "pushed_uri": properties["pushed_destination"].string_value,
        "pushed_version": int(properties["pushed_version"].string_value),
    }


def _read_verdict(outputs: dict[str, Any]) -> dict[str, Any]:
    for artifact in outputs.get("Evaluator", {}).get("blessing", []):
        path = Path(artifact.uri) / "verdict.json"
        if path.exists():
            return dict(json.loads(path.read_text()))
    return {}


def _read_tuning(outputs: dict[str, Any]) -> dict[str, Any] | None:
    for artifact in outputs.get("Tuner", {}).get("tuner_results", []):
        path = Path(artifact.uri) / TRIALS_FILE
        if path.exists():
            return summarise_trials(json.loads(path.read_text()))
    return None


def _read_data_fingerprint(outputs: dict[str, Any]) -> str | None:
    """Returns the snapshot's, which a run has long before its verdict."""
    for artifact in outputs.get("DatasetSnapshot", {}).get("snapshot", []):
        return str(artifact.properties["fingerprint"].string_value) or None
    return None


def _copy_page(outputs: dict[str, Any], folder: Path) -> Path | None:
    """Copies the RunReport component's page to a folder: what is recorded as the report is there."""
    for artifact in outputs.get("RunReport", {}).get("report", []):
        page = Path(artifact.uri) / "index.html"
        if page.exists():
            folder.mkdir(parents=True, exist_ok=True)
            replace_file(folder / page.name, page.read_bytes())
            return folder / page.name
    return None
