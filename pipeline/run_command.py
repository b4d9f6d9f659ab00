"""``deconvflow run``: prepares a run, starts it and prints what it came to."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from components.config import BeamConfig
from data import progress
from data.errors import RefusedError
from pipeline import console
from pipeline.config import SAMPLE_SCHEME, PipelineConfig, load_config, preset_path, with_data_root
from pipeline.connect_store import open_store
from pipeline.explain_fault import explain_fault
from pipeline.lock_workspace import lock_workspace
from pipeline.prepare_storage import prepare_storage
from pipeline.run_local import RunResult, list_places, new_run_id, run_pipeline
from pipeline.runs_command import format_seconds
from pipeline.store_address import find_store, own_store
from pipeline.workspace import Workspace


def run_and_report(
    config_path: Path | None,
    preset: str,
    overrides: Sequence[str],
    place: Workspace,
    beam: Sequence[str],
    as_json: bool,
    verbose: bool,
    wait: bool = True,
) -> int:
    """Runs the pipeline and returns the exit status of ``run_local``.

    Raises:
        RefusedError: if the configuration is refused, the metadata store cannot be opened, or the
            workspace is held by another run and ``wait`` is false; nothing was started.
    """
    config = load_config(config_path or preset_path(preset), overrides)
    if beam:
        config = config.model_copy(update={"beam": BeamConfig(args=(*config.beam.args, *beam))})
    prepare_storage(config)
    workspace = Workspace(place.root.resolve(), place.store, config.push.root)
    address = find_store(workspace, config.metadata.store)
    if address != own_store(workspace):
        open_store(address, create=True)
    run_id = new_run_id()
    log_file = workspace.log_file(run_id)
    store = "" if address == own_store(workspace) else f" recorded in {address};"
    _say(f"run {run_id} of {config.name};{store} log: {_short(log_file)}")
    console.install_reporter()
    with (
        refusing_faults(workspace, str(address)),
        lock_workspace(workspace.lock_file, run_id, wait, _say),
        console.quiet(log_file, verbose),
    ):
        config = materialise_sample(config, workspace)
        refuse_bad_layout(config)
        remember_push_root(workspace)
        result = run_pipeline(config, workspace, run_id)
    for problem in result.problems:
        _say(problem)
    if as_json:
        print(result.to_document().model_dump_json())
    else:
        print_result(result, config, log_file)
    return result.exit_code


@contextlib.contextmanager
def refusing_faults(workspace: Workspace, store: str) -> Iterator[None]:
    """Turns what a full disk or a store in trouble raises inside into a refusal.

    Raises:
        RefusedError: with the problem.
    """
    try:
        yield
    except RefusedError:
        raise
    except Exception as error:
        problem = explain_fault(error, list_places(workspace), store)
        if problem is None:
            raise
        raise RefusedError([problem]) from error


def _say(sentence: str) -> None:
    console.messages.print(sentence, markup=False, soft_wrap=True)


def materialise_sample(config: PipelineConfig, workspace: Workspace) -> PipelineConfig:
    """Writes the embedded sample as ordinary files where ``data.root`` names it."""
    root = config.data.root
    if not root.startswith(SAMPLE_SCHEME):
        return config
    from data.digits.write_sample import write_digits_sample

    folder = workspace.samples / root.removeprefix(SAMPLE_SCHEME)
    with progress.current().stage("writing the embedded sample"):
        write_digits_sample(folder)
    return with_data_root(config, str(folder))


def remember_push_root(workspace: Workspace) -> None:
    """Lets other commands find models that are pushed elsewhere by their names."""
    if workspace.push_root is None:
        workspace.push_root_file.unlink(missing_ok=True)
        return
    workspace.root.mkdir(parents=True, exist_ok=True)
    workspace.push_root_file.write_text(workspace.push_root + "\n", encoding="utf-8")


def refuse_bad_layout(config: PipelineConfig) -> None:
    """Refuses a data set that lacks files or splits, before TensorFlow is imported.

    Listing opens no image and is quick. If it finds anything, every file is opened too, so that all
    problems are named at once; what is inside the files of a sound listing is for ingest to find.

    Raises:
        RefusedError: with every problem of the data set.
    """
    from data.check_dataset import check_dataset, find_absent_splits
    from data.list_dataset import list_dataset
    from data.quarantine import refuse_listing

    listing = list_dataset(config.data)
    required = ("train", *config.evaluation.splits)
    problems = refuse_listing(config.data, listing.problems)
    if problems or find_absent_splits(listing, required):
        report = check_dataset(config.data, required_splits=required)
        # Files may have come meanwhile; what was seen first is said then.
        raise RefusedError(report.problems or sorted(problems))


def print_result(result: RunResult, config: PipelineConfig, log_file: Path) -> None:
    """Prints the components, the metrics a class, the verdict and where the model is."""
    console.answers.print(_component_table(result))
    if result.record.metrics:
        console.answers.print(_metric_table(result, config))
        _print_gates(result)
    record = result.record
    if record.status == "pushed":
        console.answers.print(
            f"[bold green]pushed[/] as version {record.pushed_version}: {escape(_short(record.pushed_uri))}"
        )
    elif record.status == "not blessed":
        console.answers.print("[bold yellow]not blessed, not pushed[/]; the served version is untouched")
    elif record.status == "refused":
        console.answers.print("[bold red]refused[/]: mend what is named above and run the same command again")
    else:
        console.answers.print(
            f"[bold red]{escape(record.status)}[/]: {escape(_first_line(record.error))}; "
            f"log: {escape(_short(log_file))}"
        )
    if record.report_uri:
        console.answers.print(f"report: {_short(record.report_uri)}", markup=False)
    console.answers.print(f"run {record.run_id}, {format_seconds(record.seconds)}", markup=False)


def _component_table(result: RunResult) -> Table:
    table = Table(header_style="bold")
    table.add_column("component")
    table.add_column("state")
    table.add_column("seconds", justify="right")
    colours = {"complete": "green", "cached": "cyan", "failed": "red"}
    for component in result.components:
        colour = colours.get(component.state, "yellow")
        table.add_row(escape(component.id), f"[{colour}]{component.state}[/]", f"{component.seconds:.1f}")
    table.add_section()
    table.add_row("all", "", f"{sum(component.seconds for component in result.components):.1f}")
    return table


def _metric_table(result: RunResult, config: PipelineConfig) -> Table:
    splits = [split for split in config.evaluation.splits if split in result.record.metrics]
    table = Table(header_style="bold")
    table.add_column("metric")
    for split in splits:
        table.add_column(escape(split), justify="right")
    for name in ("pixel_accuracy", "mean_class_accuracy", "mean_iou", "frequency_weighted_iou"):
        table.add_row(
            name.replace("_", " "), *(_number(result.record.metrics[split].get(name)) for split in splits)
        )
    table.add_section()
    for entry in config.data.classes:
        values = (result.record.metrics[split].get("iou", {}).get(entry.name) for split in splits)
        table.add_row(escape(f"IoU {entry.name}"), *(_number(value) for value in values))
    return table


def _print_gates(result: RunResult) -> None:
    for gate in result.verdict.get("gates", []):
        mark = "[green]passed[/]" if gate["passed"] else "[red]failed[/]"
        console.answers.print(f"gate {mark}: ", end="")
        console.answers.print(gate["sentence"], markup=False)


def _number(value: float | None) -> str:
    return "absent" if value is None or value != value else f"{value:.4f}"


def _first_line(text: str | None) -> str:
    return (text or "").splitlines()[0] if text else ""


def _short(path: Path | str | None) -> str:
    """Returns a path relative to here where it is below here."""
    if path is None:
        return ""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return str(path)
