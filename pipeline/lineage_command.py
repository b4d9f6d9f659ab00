"""``deconvflow lineage``: where a model comes from, and where an image went."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ml_metadata import MetadataStore
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from data.errors import Problem, RefusedError
from data.replace_file import replace_file
from pipeline import console, tracking
from pipeline.format_answers import format_time, mark_status
from pipeline.history.draw_graph import choose_picture, to_dot, to_svg
from pipeline.history.find_models import find_model, list_pushed
from pipeline.history.find_runs import LATEST, resolve_run
from pipeline.history.lineage_documents import LineageDocument, Sighting
from pipeline.history.trace_back import trace_model, trace_run
from pipeline.history.trace_image import trace_image
from pipeline.lineage_tree import draw_runs, draw_tree
from pipeline.store_address import find_store
from pipeline.tracking import RunRecord
from pipeline.workspace import Workspace

_TABLE_ROWS = 50


@dataclass(frozen=True)
class LineageQuery:
    """The options of the command."""

    subject: str
    kind: str | None = None
    pipeline: str | None = None
    svg: Path | None = None
    dot: Path | None = None
    all_images: bool = False
    copies: bool = True
    """Whether the subject may be the path of a copied version."""


def print_lineage(workspace: Workspace, query: LineageQuery, as_json: bool) -> int:
    """Traces a model or run back, or an image forward. Returns the exit status.

    Raises:
        RefusedError: if nothing is meant by the subject, or more than one thing.
    """
    store = tracking.open_store(find_store(workspace))
    document = find_lineage(store, tracking.list_runs(store), query)
    written = _write_pictures(document, query)
    if as_json:
        print(document.model_dump_json())
        return 0
    for part in _parts(document, query.all_images):
        console.answers.print(part, soft_wrap=isinstance(part, str))
    for path in written:
        console.answers.print(f"picture: {path}", markup=False, soft_wrap=True)
    return 0


def find_lineage(store: MetadataStore, records: Sequence[RunRecord], query: LineageQuery) -> LineageDocument:
    """Returns the lineage of whatever is meant: a model first, then a run, then an image.

    Raises:
        RefusedError: if nothing is meant, or more than one thing.
    """
    text, kind = query.subject, query.kind
    if kind in (None, "model"):
        pushed = list_pushed(store)
        model = find_model(pushed, text, {record.run_id for record in records}, query.copies)
        if model is not None:
            return trace_model(store, records, model)
        if kind == "model":
            known = ", ".join(one.label for one in pushed[-5:]) or "none yet"
            remedy = f"The newest pushed models: {known}"
            raise RefusedError(
                [Problem(f"model {text}", "was not pushed from this workspace", remedy, "no_model")]
            )
    if kind == "run" or (kind is None and _means_run(records, text)):
        return trace_run(store, records, resolve_run(records, text))
    return trace_image(store, records, text, query.pipeline)


def _means_run(records: Sequence[RunRecord], text: str) -> bool:
    return text == LATEST or any(record.run_id.startswith(text) for record in records if text)


def _write_pictures(document: LineageDocument, query: LineageQuery) -> list[Path]:
    picture = choose_picture(document)
    written = []
    for path, draw in ((query.svg, to_svg), (query.dot, to_dot)):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, draw(picture))
            written.append(path)
    return written


def _parts(document: LineageDocument, all_images: bool) -> Iterator[RenderableType]:
    if document.kind == "image":
        yield _sighting_table(document.sightings[-_TABLE_ROWS:])
        if len(document.sightings) > _TABLE_ROWS:
            yield f"the newest {_TABLE_ROWS} of {len(document.sightings)}; --json has all"
        yield from _summarise(document.sightings)
    else:
        yield draw_tree(document, all_images)
        yield draw_runs(document)
    yield from (f"[yellow]note[/]: {escape(note)}" for note in document.notes)


def _sighting_table(sightings: Sequence[Sighting]) -> Table:
    table = Table(header_style="bold")
    for heading in ("image", "split", "run", "pipeline", "started", "state", "trained on it", "pushed"):
        table.add_column(heading)
    for one in sightings:
        pushed = f"{one.pushed}{'' if one.served else ' (removed)'}" if one.pushed else ""
        table.add_row(
            escape(one.image_id), escape(one.split), escape(one.run_id), escape(one.pipeline),
            format_time(one.started), mark_status(one.status), "yes" if one.trained else "no", escape(pushed),
        )  # fmt: skip
    return table


def _summarise(sightings: Sequence[Sighting]) -> Iterator[str]:
    trained = _sort_labels({one.pushed for one in sightings if one.trained and one.pushed})
    served = _sort_labels({one.pushed for one in sightings if one.trained and one.pushed and one.served})
    runs = {
        split: len({one.run_id for one in sightings if one.split == split})
        for split in ("train", "val", "test")
    }
    counts = ", ".join(f"{count} in {split}" for split, count in runs.items() if count)
    yield f"runs that had it: {counts or 'none'}"
    yield escape(f"pushed models trained on it: {', '.join(trained) or 'none'}")
    if trained:
        yield escape(f"still there: {', '.join(served) or 'none'}")


def _sort_labels(labels: Iterable[str]) -> list[str]:
    """Returns NAME/VERSION in the order of the versions."""
    return sorted(labels, key=lambda label: (label.rpartition("/")[0], int(label.rpartition("/")[2])))
