"""``deconvflow kubeflow submit``: starts a run on a cluster, and follows it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline import console
from pipeline.cluster.client import Backend, BackendPlace, Submission
from pipeline.cluster.client_documents import SubmitDocument
from pipeline.cluster.explain_backend import BackendError
from pipeline.cluster.follow_run import Ending, follow_run, judge, read_status
from pipeline.cluster.read_package import Package, read_package, read_parameters
from pipeline.store_address import STORE_VARIABLE


@dataclass(frozen=True)
class PackageQuery:
    """What is to run, as the command line names it."""

    file: Path | None
    config: Path | None
    overrides: Sequence[str] = ()
    parameters: Sequence[str] = ()
    experiment: str | None = None
    name: str | None = None
    pipeline_root: str | None = None
    cache: bool | None = None
    service_account: str | None = None


@dataclass(frozen=True)
class WaitQuery:
    """How a run is to be followed."""

    wait: bool
    store: str | None = None
    poll_seconds: float = 10.0
    timeout_minutes: float | None = None


def submit_run(query: PackageQuery, place: BackendPlace, waiting: WaitQuery, as_json: bool) -> int:
    """Starts a run, follows it if asked to, and returns the exit status.

    Raises:
        RefusedError: if nothing was started.
    """
    package = read_package(query.file, query.config, query.overrides)
    parameters = read_parameters(package, query.parameters)
    name = query.name or f"{package.name} {datetime.now():%Y-%m-%d %H:%M:%S}"
    with as_file(package) as path:
        backend = Backend(place)
        experiment = name_experiment(query.experiment, package)
        experiment_id = backend.open_experiment(experiment)
        document = SubmitDocument(
            run_id=None,
            run_name=name,
            pipeline=package.name,
            experiment=experiment,
            experiment_id=experiment_id,
            namespace=place.namespace,
            host=backend.host,
            url=None,
            parameters=parameters,
            state=None,
            status=None,
            tasks=(),
            error=None,
        )
        try:
            run = backend.submit(build_submission(query, path, name, experiment_id, parameters))
        except BackendError as error:
            say(f"{error} Whether the run was started is not known: look into the experiment {experiment}.")
            return _finish(document.model_copy(update={"error": str(error)}), 1, as_json)
    document = document.model_copy(
        update={
            "run_id": run.run_id,
            "url": backend.run_url(run.run_id),
            "state": str(run.state or "PENDING"),
        }
    )
    say(f"run {run.run_id} of {package.name} was submitted" + (f": {document.url}" if document.url else ""))
    if not waiting.wait:
        return _finish(document, 0, as_json)
    return _wait(backend, package, document, waiting, as_json)


def _wait(
    backend: Backend, package: Package, document: SubmitDocument, waiting: WaitQuery, as_json: bool
) -> int:
    assert document.run_id is not None
    timeout = None if waiting.timeout_minutes is None else waiting.timeout_minutes * 60
    try:
        ending = follow_run(
            backend, document.run_id, package.steps, say, waiting.poll_seconds, timeout_seconds=timeout
        )
    except KeyboardInterrupt:
        say(f"no longer waiting; run {document.run_id} goes on")
        ending = Ending(None, (), "interrupted; the run goes on", ended=False)
    status, reason = None, None
    if ending.ended:
        store = waiting.store or os.environ.get(STORE_VARIABLE) or package.store
        if store is not None:
            from pipeline.cluster.close_record import close_record

            close_record(store, document.run_id, ending)
        status, reason = read_status(store, document.run_id)
    code, status = judge(ending, status)
    error = ending.error or reason if code else None
    say(_conclude(ending, status, reason))
    changes: dict[str, Any] = {"state": ending.state, "status": status, "tasks": ending.tasks, "error": error}
    return _finish(document.model_copy(update=changes), code, as_json)


def _conclude(ending: Ending, status: str | None, reason: str | None) -> str:
    if not ending.ended:
        return ending.error or "the run goes on"
    what = status or (ending.state or "unknown").lower()
    details = "; ".join(text for text in (ending.error, reason) if text)
    return f"the run has ended: {what}" + (f"; {details}" if details else "")


def _finish(document: SubmitDocument, code: int, as_json: bool) -> int:
    if as_json:
        print(document.model_dump_json())
    elif document.run_id is not None:
        print(document.run_id)
    return code


def name_experiment(given: str | None, package: Package) -> str:
    """Returns the experiment: what kfp's environment variables say, else the pipeline's name."""
    default = given or os.environ.get("KF_PIPELINES_DEFAULT_EXPERIMENT_NAME") or package.name
    return os.environ.get("KF_PIPELINES_OVERRIDE_EXPERIMENT_NAME") or default


def build_submission(
    query: PackageQuery, path: Path, name: str, experiment_id: str, parameters: dict[str, Any]
) -> Submission:
    """Puts together what goes to the backend."""
    return Submission(
        path, name, experiment_id, parameters, query.pipeline_root, query.cache, query.service_account
    )


@contextmanager
def as_file(package: Package) -> Iterator[Path]:
    """Lends a package as the file that kfp's client reads."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        path.write_text(package.text, encoding="utf-8")
        yield path


def say(sentence: str) -> None:
    """Prints a sentence on stderr."""
    console.messages.print(sentence, markup=False, soft_wrap=True)
