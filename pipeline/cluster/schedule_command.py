"""``deconvflow kubeflow schedule``: runs at set times, kept by the backend."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from rich.markup import escape
from rich.table import Table

from data.errors import Problem, RefusedError
from pipeline import console
from pipeline.cluster.client import Backend, BackendPlace, Timing
from pipeline.cluster.client_documents import (
    ScheduleChangeDocument,
    ScheduleDocument,
    ScheduleListDocument,
)
from pipeline.cluster.explain_backend import BackendError
from pipeline.cluster.read_cron import read_cron, read_interval
from pipeline.cluster.read_package import read_package, read_parameters
from pipeline.cluster.submit_command import PackageQuery, as_file, build_submission, name_experiment, say
from pipeline.format_answers import format_seconds

Action = Literal["created", "replaced", "enabled", "disabled", "deleted"]
_MOST_AT_ONCE = 10


@dataclass(frozen=True)
class TimingQuery:
    """When, as the command line says it."""

    cron: str | None = None
    interval: str | None = None
    start: str | None = None
    end: str | None = None
    max_concurrency: int = 1
    catch_up: bool = False
    enabled: bool = True
    replace: bool = False


def create_schedule(query: PackageQuery, when: TimingQuery, place: BackendPlace, as_json: bool) -> int:
    """Makes a schedule. Returns the exit status.

    Raises:
        RefusedError: if it was not made.
    """
    timing = read_timing(when)
    package = read_package(query.file, query.config, query.overrides)
    parameters = read_parameters(package, query.parameters)
    name = query.name or package.name
    with as_file(package) as path:
        backend = Backend(place)
        same = [one for one in backend.list_schedules() if one.display_name == name]
        if same and not when.replace:
            what = f"is there already ({same[0].recurring_run_id})"
            raise _refuse(f"schedule {name}", what, "Give --replace, or another --name")
        experiment_id = backend.open_experiment(name_experiment(query.experiment, package))
        submission = build_submission(query, path, name, experiment_id, parameters)
        try:
            made = backend.create_schedule(submission, timing)
            for old in same:
                backend.delete_schedule(old.recurring_run_id)
        except BackendError as error:
            say(f"{error} Whether it was made is not known: `deconvflow kubeflow schedule list` tells.")
            return 1
    action: Action = "replaced" if same else "created"
    document = describe_schedule(made, package.name)
    said = describe_time(document)
    say(f"schedule {name} was {action}: {said}" + ("" if document.enabled else ", disabled"))
    return _finish(ScheduleChangeDocument(action=action, host=backend.host, schedule=document), as_json)


def read_timing(when: TimingQuery) -> Timing:
    """Reads when; says what is sent where that is not what was typed.

    Raises:
        RefusedError: if it is impossible.
    """
    if (when.cron is None) == (when.interval is None):
        what = "are both given" if when.cron is not None else "are both missing"
        raise _refuse("--cron and --interval", what, "Give one of them")
    if not 1 <= when.max_concurrency <= _MOST_AT_ONCE:
        what = f"is {when.max_concurrency}; the backend takes 1 to {_MOST_AT_ONCE}"
        raise _refuse("--max-concurrency", what, "Give one of these")
    cron = read_cron(when.cron) if when.cron is not None else None
    if cron is not None and cron != when.cron:
        say(f"sent as '{cron}': the backend takes six fields, seconds first")
    start, end = _read_moment("--start", when.start), _read_moment("--end", when.end)
    if start is not None and end is not None and start >= end:
        raise _refuse("--end", f"is not after --start ({end} and {start})", "Give a later one")
    return Timing(
        cron,
        read_interval(when.interval) if when.interval is not None else None,
        start.isoformat() if start else None,
        end.isoformat() if end else None,
        when.max_concurrency,
        when.catch_up,
        when.enabled,
    )


def _read_moment(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _refuse(option, f"{text!r} is no time", "Give it as 2026-03-31T03:00") from None
    return moment if moment.tzinfo is not None else moment.astimezone()


def list_schedules(place: BackendPlace, as_json: bool) -> int:
    """Prints all schedules. Returns the exit status."""
    backend = Backend(place)
    schedules = tuple(describe_schedule(one) for one in backend.list_schedules())
    if as_json:
        print(ScheduleListDocument(host=backend.host, schedules=schedules).model_dump_json())
        return 0
    table = Table(header_style="bold")
    for heading in ("name", "state", "when", "at once", "missed runs", "id"):
        table.add_column(heading)
    for one in schedules:
        state = "enabled" if one.enabled else "disabled"
        missed = "made up for" if one.catch_up else "left out"
        at_once = str(one.max_concurrency or 1)
        cells = (one.name, state, describe_time(one), at_once, missed, one.schedule_id)
        table.add_row(*map(escape, cells))
    if schedules:
        console.answers.print(table)
    else:
        say("no schedules")
    return 0


def change_schedule(name: str, action: Action, place: BackendPlace, as_json: bool) -> int:
    """Enables, disables or deletes a schedule. Returns the exit status.

    Raises:
        RefusedError: if there is none of that id or name, or several of that name.
    """
    backend = Backend(place)
    found = find_schedule(backend, name)
    schedule_id = found.recurring_run_id
    if action == "deleted":
        backend.delete_schedule(schedule_id)
    else:
        backend.set_enabled(schedule_id, action == "enabled")
        found = backend.get_schedule(schedule_id)
    document = describe_schedule(found)
    say(f"schedule {document.name} was {action}")
    return _finish(ScheduleChangeDocument(action=action, host=backend.host, schedule=document), as_json)


def find_schedule(backend: Backend, name: str) -> Any:
    """Returns the schedule of an id, or of a name that only one has.

    Raises:
        RefusedError: if there is none, or several.
    """
    schedules = backend.list_schedules()
    found = [one for one in schedules if name == one.recurring_run_id] or [
        one for one in schedules if name == one.display_name
    ]
    if not found:
        known = ", ".join(sorted(str(one.display_name) for one in schedules)) or "none at all"
        raise _refuse(f"schedule {name}", "does not exist", f"There are: {known}")
    if len(found) > 1:
        ids = ", ".join(one.recurring_run_id for one in found)
        raise _refuse(f"schedule {name}", "is the name of several", f"Name one by its id: {ids}")
    return found[0]


def describe_schedule(made: Any, pipeline: str | None = None) -> ScheduleDocument:
    """Returns a schedule of the backend as a document."""
    trigger = made.trigger
    cron = getattr(trigger, "cron_schedule", None)
    periodic = getattr(trigger, "periodic_schedule", None)
    timed = cron or periodic
    interval = getattr(periodic, "interval_second", None)
    runtime = made.runtime_config
    return ScheduleDocument(
        schedule_id=made.recurring_run_id,
        name=made.display_name or "",
        enabled=str(made.status or made.mode or "") in ("ENABLED", "ENABLE"),
        cron=getattr(cron, "cron", None),
        interval_seconds=int(interval) if interval else None,
        start=_moment(getattr(timed, "start_time", None)),
        end=_moment(getattr(timed, "end_time", None)),
        max_concurrency=int(made.max_concurrency) if made.max_concurrency else None,
        catch_up=not made.no_catchup,
        pipeline=pipeline or _pipeline_name(made.pipeline_spec),
        parameters=dict(getattr(runtime, "parameters", None) or {}),
        experiment_id=made.experiment_id or None,
        namespace=made.namespace or None,
        created=made.created_at.timestamp() if made.created_at else None,
        error=getattr(made.error, "message", None) or None,
    )


def _pipeline_name(spec: Any) -> str | None:
    if not isinstance(spec, dict):
        return None
    inner = spec.get("pipeline_spec", spec)
    info = inner.get("pipelineInfo") if isinstance(inner, dict) else None
    return info.get("name") if isinstance(info, dict) else None


def _moment(value: Any) -> str | None:
    # The backend gives an unset time as the beginning of the epoch.
    return value.isoformat() if value is not None and value.timestamp() > 0 else None


def describe_time(schedule: ScheduleDocument) -> str:
    """Returns when a schedule starts runs, for people."""
    if schedule.cron is not None:
        return f"at {schedule.cron}"
    return f"every {format_seconds(schedule.interval_seconds)}" if schedule.interval_seconds else "never"


def _finish(document: ScheduleChangeDocument, as_json: bool) -> int:
    print(document.model_dump_json() if as_json else document.schedule.schedule_id)
    return 0


def _refuse(where: str, what: str, remedy: str) -> RefusedError:
    return RefusedError([Problem(where, what, remedy, "bad_schedule")])
