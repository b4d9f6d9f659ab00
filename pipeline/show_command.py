"""``deconvflow show``: all about one run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from components.report.describe_data import describe_determinism
from data.errors import Problem, RefusedError
from data.quarantine import describe_quarantine
from pipeline import console, tracking
from pipeline.format_answers import (
    format_change,
    format_seconds,
    format_share,
    format_time,
    format_value,
    mark_status,
    name_metric,
    short,
)
from pipeline.history.explain_run import explain_run
from pipeline.history.find_runs import resolve_run
from pipeline.history.run_documents import (
    ArtifactDocument,
    ComponentDocument,
    EvaluationDocument,
    RunWithChanges,
    ShowDocument,
    SplitResult,
    TuningDocument,
)
from pipeline.store_address import find_store
from pipeline.workspace import Workspace
from trainer.confusion_matrix import SUMMARY_METRICS, class_iou_key

_ERROR_LINES = 12
_SLICES_ABREAST = 5
_SHOWN_FILES = 20


def print_run(workspace: Workspace, run: str, component: str | None, as_json: bool) -> int:
    """Explains one run. Returns the exit status.

    Args:
        workspace: its folder, and perhaps its store.
        run: an id, the beginning of one, or ``latest``.
        component: show this component only, its values unabridged.
        as_json: print the document.

    Raises:
        RefusedError: if there is no such store, run or component.
    """
    store = tracking.open_store(find_store(workspace))
    records = tracking.list_runs(store)
    document = explain_run(store, workspace, records, resolve_run(records, run))
    if component is not None:
        document = _only(document, component)
    if as_json:
        print(document.model_dump_json())
    elif component is not None:
        console.answers.print(_draw_component(document.components[0], full=True))
    else:
        for part in _parts(document):
            console.answers.print(part, soft_wrap=isinstance(part, str))
    return 0


def _only(document: ShowDocument, component: str) -> ShowDocument:
    found = tuple(one for one in document.components if one.id.lower() == component.lower())
    if not found:
        what = f"did not run in {document.run.run_id}"
        remedy = f"Take one of: {', '.join(one.id for one in document.components)}"
        raise RefusedError([Problem(f"--component {component}", what, remedy, "no_component")])
    return document.model_copy(update={"components": found})


def _parts(document: ShowDocument) -> Iterator[RenderableType]:
    """Yields what is long first: what a reader looks for stays on the screen."""
    run = document.run
    tree = Tree("inputs, outputs and parameters")
    for component in document.components:
        tree.add(_draw_component(component, full=False))
    yield tree
    yield (
        f"[bold]run {escape(run.run_id)}[/] of {escape(run.pipeline)}: {mark_status(run.status)}; "
        f"{format_time(run.started)}, {format_seconds(run.seconds)}"
    )
    if run.error:
        lines = run.error.splitlines()
        more = [f"... and {len(lines) - _ERROR_LINES} lines more"] if len(lines) > _ERROR_LINES else []
        where = f" in {document.failed_component}" if document.failed_component else ""
        yield f"[red]error{escape(where)}[/]: " + escape("\n".join([*lines[:_ERROR_LINES], *more]))
    yield from _list_changes(run)
    yield _component_table(document.components)
    if document.tuning is not None:
        yield _trial_table(document.tuning)
    if document.evaluation is not None:
        yield from _draw_evaluation(document.evaluation)
    yield from _draw_checks(document)
    yield from (f"[yellow]note[/]: {escape(note)}" for note in document.notes)
    yield from _list_places(document)


def _list_changes(run: RunWithChanges) -> Iterator[str]:
    changes = run.changes
    if changes.previous is None:
        yield "the first run of this pipeline"
        return
    names = [name for name in ("data", "code", "environment") if getattr(changes, name)]
    found = [*(format_change(change) for change in changes.configuration), *names]
    yield escape(f"changed since run {changes.previous}: {', '.join(found) or 'nothing that is recorded'}")


def _component_table(components: Sequence[ComponentDocument]) -> Table:
    table = Table(header_style="bold")
    for heading in ("component", "state"):
        table.add_column(heading)
    table.add_column("seconds", justify="right")
    table.add_column("outputs made by run")
    for one in components:
        seconds = "" if one.seconds is None else f"{one.seconds:.1f}"
        table.add_row(escape(one.id), mark_status(one.state), seconds, escape(one.reused_from or ""))
    return table


def _trial_table(tuning: TuningDocument) -> Table:
    """Returns a row a trial, best first; a column a key that was searched over."""
    keys = sorted({key for trial in tuning.trials for key in trial.values})
    table = Table(header_style="bold", title=escape(f"trials ({tuning.algorithm})"), title_justify="left")
    table.add_column("trial")
    for heading in (name_metric(tuning.objective), "epochs", "seconds"):
        table.add_column(heading, justify="right")
    for key in keys:
        table.add_column(escape(key), overflow="fold")
    for trial in sorted(tuning.trials, key=lambda trial: -(trial.score or 0.0)):
        mark = " [green]best[/]" if trial.id == tuning.best else ""
        cells = [format_share(trial.score, "[red]failed[/]"), *map(_or_empty, (trial.epochs, trial.seconds))]
        values = [escape(format_value(trial.values.get(key, ""), 40)) for key in keys]
        table.add_row(escape(trial.id) + mark, *cells, *values)
    failed = {trial.message for trial in tuning.trials if trial.message}
    if failed:
        table.caption, table.caption_justify = escape("\n".join(sorted(failed))), "left"
    return table


def _or_empty(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _draw_evaluation(evaluation: EvaluationDocument) -> Iterator[RenderableType]:
    whole = {result.split: result for result in evaluation.results if not result.features}
    yield _metric_table(whole, evaluation.class_names)
    slices = [(_name_slice(result), result) for result in evaluation.results if result.features]
    for start in range(0, len(slices), _SLICES_ABREAST):
        yield _metric_table(dict(slices[start : start + _SLICES_ABREAST]), evaluation.class_names)
    for gate in evaluation.gates:
        mark = "[green]passed[/]" if gate.passed else "[red]failed[/]"
        numbers = f"{gate.kind} {gate.bound:g}, value {format_share(gate.value, 'undefined')}"
        yield f"gate {mark} ({numbers}): {escape(gate.sentence)}"
    yield from (escape(note) for note in evaluation.notes)


def _name_slice(result: SplitResult) -> str:
    features = ", ".join(f"{key.rsplit('/', 1)[-1]}={value}" for key, value in result.features.items())
    return f"{result.split}: {features}"


def _metric_table(results: Mapping[str, SplitResult], class_names: Sequence[str]) -> Table:
    """Returns a column a split or slice."""
    table = Table(header_style="bold")
    headings = ["images", *(name_metric(name) for name in SUMMARY_METRICS)]
    headings += [name_metric(class_iou_key(name)) for name in class_names]
    columns = {
        name: [str(result.num_images or ""), *_values(result, class_names)]
        for name, result in results.items()
    }
    table.add_column("metric")
    for name in columns:
        table.add_column(escape(name), justify="right")
    for index, heading in enumerate(headings):
        table.add_row(escape(heading), *(column[index] for column in columns.values()))
        if index == len(SUMMARY_METRICS):
            table.add_section()
    return table


def _values(result: SplitResult, class_names: Sequence[str]) -> list[str]:
    metrics = result.metrics
    summary = [format_share(getattr(metrics, name), "undefined") for name in SUMMARY_METRICS]
    return summary + [format_share(metrics.iou.get(name), "absent") for name in class_names]


def _draw_checks(document: ShowDocument) -> Iterator[str]:
    if (gate := document.data_gate) is not None:
        mark = "[green]passed[/]" if gate.passed else "[red]stopped the run[/]"
        counts = ", ".join(f"{count} {split}" for split, count in gate.examples.items())
        yield f"data gate {mark}: {escape(counts)}"
        for finding in gate.findings:
            images = f" ({', '.join(finding.image_ids)})" if finding.image_ids else ""
            place = f"{finding.feature or 'examples'} in {finding.split}"
            yield escape(f"  {finding.check}: {place}: {finding.what}{images}")
        yield from (escape(f"  {note}") for note in gate.notes)
    if (found := document.quarantine) is not None:
        yield f"quarantine: {describe_quarantine(found.bad, found.sound, found.max_bad_share)}"
        yield from (escape(f"  {one.sentence}") for one in found.left_out[:_SHOWN_FILES])
        if (more := len(found.left_out) - _SHOWN_FILES) > 0:
            yield f"  and {more} more in the report and in --json"
    if (smoke := document.smoke_test) is not None:
        mark = "[green]passed[/]" if smoke.passed else "[red]failed[/]"
        yield f"smoke test {mark}{escape(': ' + '; '.join(smoke.reasons)) if smoke.reasons else ''}"
    if document.training:
        facts = {key: value for key, value in document.training.items() if key != "deterministic"}
        yield escape("training: " + ", ".join(f"{key} {format_value(one)}" for key, one in facts.items()))
        if determinism := describe_determinism(document.training.get("deterministic")):
            yield escape(f"same bits again: {determinism}")


def _draw_component(component: ComponentDocument, full: bool) -> Tree:
    limit = 1_000_000 if full else 100
    reused = f", made by run {component.reused_from}" if component.reused_from else ""
    tree = Tree(f"[bold]{escape(component.id)}[/] ({mark_status(component.state)}{escape(reused)})")
    for kind, artifacts in (("in", component.inputs), ("out", component.outputs)):
        for key, found in artifacts.items():
            for artifact in found:
                tree.add(f"{kind} [cyan]{escape(key)}[/]: {escape(_name_artifact(artifact))}")
    for key, value in component.parameters.items():
        tree.add(f"[magenta]{escape(key)}[/] = {escape(format_value(value, limit))}")
    return tree


def _name_artifact(artifact: ArtifactDocument) -> str:
    gone = "" if artifact.exists else " (gone)"
    value = f" = {format_value(artifact.value, 80)}" if artifact.value is not None else ""
    return f"{artifact.type} {artifact.id} {artifact.uri}{value}{gone}"


def _list_places(document: ShowDocument) -> Iterator[str]:
    run = document.run
    yield (
        f"data {short(run.data_fingerprint) or 'unknown'}, code {short(run.code_fingerprint) or 'unknown'}, "
        f"environment {short(run.environment_fingerprint) or 'unknown'}"
    )
    if run.status == "pushed":
        yield escape(f"pushed as version {run.pushed_version}: {run.pushed_uri}")
    if run.report_uri:
        yield escape(f"report: {run.report_uri}")
    yield escape(f"log: {document.log}") if document.log else "the log is not there any more"
