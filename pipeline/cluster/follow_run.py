"""Follows a run on the backend to its end, and finds out what it came to."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from data.errors import RefusedError
from pipeline.cluster.client import Backend
from pipeline.cluster.client_documents import TaskDocument
from pipeline.cluster.explain_backend import BackendError
from pipeline.cluster.hide_secrets import hide_secrets

FINAL_STATES = ("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED")
_REFUSING_STEPS = ("DatasetSnapshot", "DataGate")
_EXIT_CODES = {"pushed": 0, "not blessed": 3, "refused": 2}
_PATIENCE_SECONDS = 300.0
"""For so long, a backend that does not answer is asked again: it may be updated."""


@dataclass(frozen=True)
class Ending:
    """How a run ended, or why we stopped waiting."""

    state: str | None
    tasks: tuple[TaskDocument, ...]
    error: str | None = None
    ended: bool = True


@dataclass
class _Follower:
    backend: Backend
    run_id: str
    steps: Collection[str]
    say: Callable[[str], None]
    shown: dict[str, str]

    def ask(self) -> Ending:
        run = self.backend.get_run(self.run_id)
        tasks = list_tasks(run, self.steps)
        for task in tasks:
            if self.shown.get(task.name) != task.state:
                self.shown[task.name] = task.state
                self.say(f"{datetime.now():%H:%M:%S} {task.name}: {_speak(task.state)}{_after(task)}")
        state = _text(run.state)
        error = getattr(run.error, "message", None) if state == "FAILED" else None
        return Ending(state, tasks, hide_secrets(error) if error else None)


def follow_run(
    backend: Backend,
    run_id: str,
    steps: Collection[str],
    say: Callable[[str], None],
    poll_seconds: float = 10.0,
    patience_seconds: float = _PATIENCE_SECONDS,
    timeout_seconds: float | None = None,
) -> Ending:
    """Waits until a run has ended and tells each change of a step.

    Args:
        backend: where it runs.
        run_id: the run.
        steps: the names of the pipeline's tasks; the backend lists its own helpers among them.
        say: gets a sentence for each change.
        poll_seconds: time between questions.
        patience_seconds: for so long, failures in a row are borne.
        timeout_seconds: wait no longer than this; None for ever.
    """
    follower = _Follower(backend, run_id, steps, say, {})
    last = Ending(None, (), ended=False)
    start = heard = time.monotonic()
    while True:
        try:
            last = follower.ask()
            heard = time.monotonic()
            if last.state in FINAL_STATES:
                return last
        except (BackendError, RefusedError) as error:
            # Who may not ask now may not ask later; all else may pass.
            code = error.problem.code if isinstance(error, BackendError) else error.problems[0].code
            if code in ("backend_401", "backend_403", "backend_404") or (
                time.monotonic() - heard >= patience_seconds
            ):
                return Ending(last.state, last.tasks, f"{error} The run itself goes on", ended=False)
            say(f"{datetime.now():%H:%M:%S} no answer, asking again: {error}")
        if timeout_seconds is not None and time.monotonic() - start >= timeout_seconds:
            sentence = f"still {_speak(last.state or 'unknown')} after {timeout_seconds:g} s; the run goes on"
            return Ending(last.state, last.tasks, sentence, ended=False)
        time.sleep(poll_seconds)


def list_tasks(run: Any, steps: Collection[str]) -> tuple[TaskDocument, ...]:
    """Returns the pipeline's own steps in the order of their start; of a retried one, the last try."""
    details = run.run_details.task_details if run.run_details else None
    latest: dict[str, Any] = {}
    for detail in sorted(details or (), key=_started):
        name = detail.display_name or ""
        if name in steps and _text(_state_of(detail)):
            latest[name] = detail
    return tuple(_describe(name, detail) for name, detail in latest.items())


def _state_of(detail: Any) -> Any:
    """Returns a task's state, which later backends call its status."""
    return getattr(detail, "state", None) or getattr(detail, "status", None)


def _started(detail: Any) -> float:
    moment = detail.start_time or detail.create_time
    return moment.timestamp() if moment else float("inf")


def _describe(name: str, detail: Any) -> TaskDocument:
    seconds = None
    # A task that has not ended bears the beginning of time.
    if detail.start_time and detail.end_time and detail.end_time >= detail.start_time:
        seconds = (detail.end_time - detail.start_time).total_seconds()
    message = getattr(detail.error, "message", None)
    return TaskDocument(
        name=name,
        state=_text(_state_of(detail)) or "",
        seconds=seconds,
        error=hide_secrets(message) if message else None,
    )


def _text(state: Any) -> str | None:
    return str(getattr(state, "value", state)) if state else None


def _speak(state: str) -> str:
    return state.lower().replace("_", " ")


def _after(task: TaskDocument) -> str:
    after = "" if task.seconds is None or task.state not in FINAL_STATES else f" after {task.seconds:.0f} s"
    return after + (f": {task.error.splitlines()[0]}" if task.error else "")


def read_status(store: str | None, run_id: str) -> tuple[str | None, str | None]:
    """Returns a run's status from the team's metadata store, or why it cannot be told.

    Args:
        store: the store's address; None where none is named.
        run_id: the run.
    """
    if store is None:
        return None, "no metadata store is named (--store), so whether the model was pushed is not known"
    from pipeline import tracking
    from pipeline.store_address import parse_address

    try:
        record = tracking.read_run(tracking.open_store(parse_address(store, "--store")), run_id)
    except RefusedError as error:
        return None, f"the metadata store does not tell: {error}"
    if record.status not in (*_EXIT_CODES, "failed"):
        return None, f"in the metadata store the run is {record.status}"
    return record.status, record.error


def judge(ending: Ending, status: str | None) -> tuple[int, str | None]:
    """Returns the exit status of ``run`` for a run of the cluster, and its status where that is known.

    The metadata store knows whether a model was blessed and pushed. Without it, a step that judges data and
    failed counts as a refusal: entrypoints end with 2 then, as the step's error may say.
    """
    if not ending.ended:
        return 1, None
    if ending.state == "SUCCEEDED":
        return (_EXIT_CODES.get(status, 1), status) if status else (0, None)
    if status == "refused":
        return 2, status
    failed = [task for task in ending.tasks if task.state == "FAILED"]
    if status is None and failed:
        first = failed[0]
        if first.name in _REFUSING_STEPS or "exit code 2" in (first.error or ""):
            return 2, "refused"
    return 1, "failed"
