"""The options of ``deconvflow kubeflow submit`` and ``schedule``. What they do is imported when they run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from pipeline.cluster.client import BackendPlace
    from pipeline.cluster.schedule_command import Action
    from pipeline.cluster.submit_command import PackageQuery


class ScheduleGroup(TyperGroup):
    """``schedule FILE --cron ...`` is ``schedule create FILE --cron ...``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Puts ``create`` before what names no command of the group."""
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = ["create", *args]
        return super().parse_args(ctx, args)


schedule_app = typer.Typer(
    name="schedule",
    cls=ScheduleGroup,
    help="Run a pipeline at set times: `schedule FILE --cron '0 3 * * *'`, list, enable, disable, delete.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

FileArgument = Annotated[
    Path | None, typer.Argument(metavar="[PIPELINE.yaml]", help="A compiled pipeline; else --config.")
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="YAML configuration, compiled and linted first.")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="With --config, override a key. May be given again.")
]
HostOption = Annotated[
    str | None,
    typer.Option(
        "--host",
        help="The backend's API, as http://localhost:8888. Else KF_PIPELINES_ENDPOINT, the cluster that this "
        "runs in, or the kubeconfig's.",
    ),
]
NamespaceOption = Annotated[
    str | None,
    typer.Option("--namespace", "-n", envvar="KFP_NAMESPACE", help="Yours, where several share a backend."),
]
SecondsOption = Annotated[
    float, typer.Option("--request-seconds", min=0.1, help="The backend must answer within this time.")
]
ParamOption = Annotated[
    list[str] | None,
    typer.Option(
        "--param",
        "-p",
        metavar="KEY=VALUE",
        help="A runtime parameter: trainer_epochs=20. May be given again.",
    ),
]
ExperimentOption = Annotated[
    str | None, typer.Option("--experiment", help="Where the runs are filed; else the pipeline's name.")
]
RootOption = Annotated[
    str | None,
    typer.Option("--pipeline-root", help="Where artifacts are kept instead: minio://, s3://, gs://."),
]
CacheOption = Annotated[
    bool | None, typer.Option("--cache/--no-cache", help="For all steps; else as the pipeline says.")
]
AccountOption = Annotated[
    str | None, typer.Option("--service-account", help="The Kubernetes service account of the steps.")
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")
]
NameArgument = Annotated[str, typer.Argument(metavar="NAME|ID", help="The schedule's name or id.")]


def submit(
    file: FileArgument = None,
    config: ConfigOption = None,
    override: SetOption = None,
    parameter: ParamOption = None,
    host: HostOption = None,
    namespace: NamespaceOption = None,
    experiment: ExperimentOption = None,
    run_name: Annotated[
        str | None, typer.Option("--run-name", help="For people; else pipeline and time.")
    ] = None,
    pipeline_root: RootOption = None,
    cache: CacheOption = None,
    service_account: AccountOption = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Follow the run, and exit as `deconvflow run` does.")
    ] = False,
    store: Annotated[
        str | None,
        typer.Option(
            "--store",
            envvar="DECONVFLOW_METADATA_STORE",
            help="With --wait: the metadata store that knows whether the model was pushed.",
        ),
    ] = None,
    poll_seconds: Annotated[
        float, typer.Option("--poll-seconds", min=0.05, help="With --wait: time between questions.")
    ] = 10.0,
    timeout_minutes: Annotated[
        float | None,
        typer.Option("--timeout-minutes", min=0, help="With --wait: wait no longer; exit with 1."),
    ] = None,
    request_seconds: SecondsOption = 60.0,
    as_json: JsonOption = False,
) -> None:
    """Start a run on Kubeflow Pipelines.

    Exit status: 0 submitted, 2 refused and nothing started, 1 it may have started. With --wait as `run`: 0
    pushed, 3 evaluated but not blessed, 2 refused, 1 a component failed or the run could not be followed.
    """
    from pipeline.cluster.client import BackendPlace
    from pipeline.cluster.submit_command import PackageQuery, WaitQuery, submit_run

    query = PackageQuery(
        file,
        config,
        override or [],
        parameter or [],
        experiment,
        run_name,
        pipeline_root,
        cache,
        service_account,
    )
    place = BackendPlace(host, namespace, request_seconds)
    raise typer.Exit(submit_run(query, place, WaitQuery(wait, store, poll_seconds, timeout_minutes), as_json))


@schedule_app.command()
def create(
    file: FileArgument = None,
    cron: Annotated[
        str | None, typer.Option("--cron", help="'0 3 * * 1-5'; with six fields, the second comes first.")
    ] = None,
    interval: Annotated[str | None, typer.Option("--interval", help="90m, 12h, 7d, or seconds.")] = None,
    config: ConfigOption = None,
    override: SetOption = None,
    parameter: ParamOption = None,
    host: HostOption = None,
    namespace: NamespaceOption = None,
    experiment: ExperimentOption = None,
    name: Annotated[str | None, typer.Option("--name", help="Of the schedule; else the pipeline's.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of one of this name.")] = False,
    start: Annotated[str | None, typer.Option("--start", help="Not before: 2026-03-31T03:00.")] = None,
    end: Annotated[str | None, typer.Option("--end", help="Not after.")] = None,
    max_concurrency: Annotated[
        int, typer.Option("--max-concurrency", help="Runs of it at once, 1 to 10.")
    ] = 1,
    catch_up: Annotated[
        bool, typer.Option("--catch-up/--no-catch-up", help="Make up for each run that was missed.")
    ] = False,
    enabled: Annotated[
        bool, typer.Option("--enabled/--disabled", help="Let it start runs at once, or not before `enable`.")
    ] = True,
    pipeline_root: RootOption = None,
    cache: CacheOption = None,
    service_account: AccountOption = None,
    request_seconds: SecondsOption = 60.0,
    as_json: JsonOption = False,
) -> None:
    """Make a schedule. What is submitted now is what will run: --replace brings a later configuration.

    A run on data that did not change takes all from the cache, and pushes nothing.
    """
    from pipeline.cluster.client import BackendPlace
    from pipeline.cluster.schedule_command import TimingQuery, create_schedule
    from pipeline.cluster.submit_command import PackageQuery

    query: PackageQuery = PackageQuery(
        file, config, override or [], parameter or [], experiment, name, pipeline_root, cache, service_account
    )
    when = TimingQuery(cron, interval, start, end, max_concurrency, catch_up, enabled, replace)
    raise typer.Exit(create_schedule(query, when, BackendPlace(host, namespace, request_seconds), as_json))


@schedule_app.command("list")
def list_command(
    host: HostOption = None,
    namespace: NamespaceOption = None,
    request_seconds: SecondsOption = 60.0,
    as_json: JsonOption = False,
) -> None:
    """List the schedules."""
    from pipeline.cluster.schedule_command import list_schedules

    raise typer.Exit(list_schedules(_place(host, namespace, request_seconds), as_json))


@schedule_app.command()
def enable(
    name: NameArgument,
    host: HostOption = None,
    namespace: NamespaceOption = None,
    request_seconds: SecondsOption = 60.0,
    as_json: JsonOption = False,
) -> None:
    """Let a schedule start runs again."""
    _change(name, "enabled", _place(host, namespace, request_seconds), as_json)


@schedule_app.command()
def disable(
    name: NameArgument,
    host: HostOption = None,
    namespace: NamespaceOption = None,
    request_seconds: SecondsOption = 60.0,
    as_json: JsonOption = False,
) -> None:
    """Let a schedule start no more runs; those that run go on."""
    _change(name, "disabled", _place(host, namespace, request_seconds), as_json)


@schedule_app.command()
def delete(
    name: NameArgument,
    host: HostOption = None,
    namespace: NamespaceOption = None,
    request_seconds: SecondsOption = 60.0,
    as_json: JsonOption = False,
) -> None:
    """Delete a schedule; its runs stay."""
    _change(name, "deleted", _place(host, namespace, request_seconds), as_json)


def _place(host: str | None, namespace: str | None, request_seconds: float) -> BackendPlace:
    from pipeline.cluster.client import BackendPlace

    return BackendPlace(host, namespace, request_seconds)


def _change(name: str, action: Action, place: Any, as_json: bool) -> None:
    from pipeline.cluster.schedule_command import change_schedule

    raise typer.Exit(change_schedule(name, action, place, as_json))


def add_client_commands(app: typer.Typer) -> None:
    """Adds ``submit`` and ``schedule`` to ``deconvflow kubeflow``."""
    app.command("submit")(submit)
    app.add_typer(schedule_app)
