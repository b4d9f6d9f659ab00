"""``deconvflow compare``: what differs between runs, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from data.errors import Problem, RefusedError
from pipeline import console, tracking
from pipeline.format_answers import (
    format_difference,
    format_seconds,
    format_share,
    format_time,
    format_value,
    mark_status,
    name_metric,
    short,
)
from pipeline.history.compare_runs import compare_runs
from pipeline.history.comparison_documents import (
    CompareDocument,
    DataDifference,
    ImageChange,
    ValueDifference,
)
from pipeline.history.find_runs import resolve_runs
from pipeline.store_address import find_store
from pipeline.workspace import Workspace

_MAX_IMAGES = 8
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def print_comparison(workspace: Workspace, runs: Sequence[str], as_json: bool) -> int:
    """Compares runs. Returns the exit status.

    Raises:
        RefusedError: if there is no such store or run, or fewer than two are named.
    """
    check_number(runs)
    store = tracking.open_store(find_store(workspace))
    document = compare_runs(store, resolve_runs(tracking.list_runs(store), runs))
    if as_json:
        print(document.model_dump_json())
        return 0
    for part in _parts(document):
        console.answers.print(part, soft_wrap=isinstance(part, str))
    return 0


def check_number(runs: Sequence[str]) -> None:
    """Refuses to compare fewer than two runs, or more than there are letters for.

    Raises:
        RefusedError: if there are too few or too many.
    """
    if not 2 <= len(runs) <= len(_LETTERS):
        what, remedy = f"{len(runs)} named", f"Name 2 to {len(_LETTERS)}: deconvflow compare A B"
        raise RefusedError([Problem("runs to compare", what, remedy, "bad_option")])


def _parts(document: CompareDocument) -> Iterator[RenderableType]:
    names = {run.run_id: _LETTERS[index] for index, run in enumerate(document.runs)}
    for run in document.runs:
        yield (
            f"[bold]{names[run.run_id]}[/] run {escape(run.run_id)} of {escape(run.pipeline)}: "
            f"{mark_status(run.status)}; {format_time(run.started)}, {format_seconds(run.seconds)}"
        )
    yield from _draw_values("configuration", document.configuration, names)
    yield from _draw_code(document, names)
    for difference in document.data:
        yield from _draw_data(difference, names)
    if document.environment.recorded or document.environment.values:
        yield from _draw_values("environment", document.environment.values, names)
    if document.metrics:
        yield _metric_table(document, names)
    if document.confusion:
        yield _confusion_table(document, names)
    if document.training:
        yield from _draw_values("how training went", document.training, names)
    yield from (f"[yellow]note[/]: {escape(note)}" for note in document.notes)


def _draw_values(
    title: str, differences: Sequence[ValueDifference], names: dict[str, str]
) -> Iterator[RenderableType]:
    if not differences:
        yield f"{title}: the same"
        return
    table = Table("key", *names.values(), title=title, title_justify="left", header_style="bold")
    for difference in differences:
        values = (
            escape(format_value(difference.values[run_id]))
            if run_id in difference.values
            else "[dim]unset[/]"
            for run_id in names
        )
        table.add_row(escape(difference.key), *values)
    yield table


def _draw_code(document: CompareDocument, names: dict[str, str]) -> Iterator[RenderableType]:
    code = document.code
    if not code.recorded:
        yield from _draw_values("code of components", [_shorten(one) for one in code.components], names)
        return
    yield from _draw_values("code", [_shorten(one) for one in code.files], names)


def _shorten(difference: ValueDifference) -> ValueDifference:
    values = {run_id: short(str(value)) for run_id, value in difference.values.items()}
    return ValueDifference(key=difference.key, values=dict(values))


def _draw_data(difference: DataDifference, names: dict[str, str]) -> Iterator[str]:
    title = f"data of {names[difference.run_id]}"
    if difference.same is None:
        yield f"{title}: unknown"
    elif difference.same:
        yield f"{title}: the same"
    else:
        yield f"{title}: not the same"
    for what, changes in (
        ("added", difference.added),
        ("removed", difference.removed),
        ("image changed", difference.changed_image),
        ("mask changed", difference.changed_mask),
        ("moved to another split", difference.moved),
    ):
        if changes:
            shown = ", ".join(_name_image(change) for change in changes[:_MAX_IMAGES])
            more = f" and {len(changes) - _MAX_IMAGES} more" if len(changes) > _MAX_IMAGES else ""
            yield escape(f"  {what}: {shown}{more}")


def _name_image(change: ImageChange) -> str:
    place = f"{change.from_split} → {change.split}" if change.from_split else change.split
    return f"{change.id} ({place})"


def _metric_table(document: CompareDocument, names: dict[str, str]) -> Table:
    first, *others = names.values()
    table = Table(title="metrics", title_justify="left", header_style="bold")
    table.add_column("split")
    table.add_column("metric")
    for heading in (first, *(column for name in others for column in (name, f"{name} - {first}"))):
        table.add_column(heading, justify="right")
    evaluated = {(run.run_id, split) for run in document.runs for split in run.metrics}
    for index, row in enumerate(document.metrics):
        cells = []
        for run_id in names:
            unknown = "undefined" if (run_id, row.split) in evaluated else ""
            cells.append(format_share(row.values.get(run_id), unknown))
            if run_id != document.runs[0].run_id:
                cells.append(_colour(row.differences.get(run_id)))
        is_last = index + 1 < len(document.metrics) and document.metrics[index + 1].split != row.split
        table.add_row(escape(row.split), escape(name_metric(row.metric)), *cells, end_section=is_last)
    return table


def _colour(difference: float | None) -> str:
    text = format_difference(difference)
    if difference is None or abs(difference) < 0.00005:
        return text
    return f"[{'green' if difference > 0 else 'red'}]{text}[/]"


def _confusion_table(document: CompareDocument, names: dict[str, str]) -> Table:
    first = next(iter(names.values()))
    table = Table(
        title="confusion that changed most, in shares of the true class's pixels", title_justify="left"
    )
    for heading in ("run", "split", "truth", "taken for"):
        table.add_column(heading)
    for heading in (first, "run", f"run - {first}"):
        table.add_column(heading, justify="right")
    for row in document.confusion:
        table.add_row(
            names[row.run_id], escape(row.split), escape(row.truth), escape(row.predicted),
            format_share(row.before), format_share(row.after), format_difference(row.change),
        )  # fmt: skip
    return table
