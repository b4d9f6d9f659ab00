"""``deconvflow report``: the page of any recorded run, made again."""

from __future__ import annotations

import os
import webbrowser
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ml_metadata import MetadataStore

from components.report.facts import RunFacts
from components.report.render_report import render_report
from pipeline import console, tracking
from pipeline.history.find_runs import resolve_run
from pipeline.history.report_document import ReportDocument
from pipeline.make_report import PAGE, collect_run, write_page
from pipeline.store_address import find_store
from pipeline.tracking import RunRecord
from pipeline.workspace import Workspace

_REMADE = "remade.html"


def print_report(workspace: Workspace, run: str, out: Path | None, open_page: bool, as_json: bool) -> int:
    """Makes the page of a run and says where it is. Returns the exit status.

    Args:
        workspace: its folder, and perhaps its store.
        run: an id, the beginning of one, or ``latest``.
        out: the file to write; None for the workspace's reports.
        open_page: show it in the browser.
        as_json: print the document.

    Raises:
        RefusedError: if there is no such store or run, or the page cannot be written.
    """
    place = replace(workspace, root=workspace.root.absolute())
    store = tracking.open_store(find_store(place))
    records = tracking.list_runs(store)
    record = resolve_run(records, run)
    facts = _collect_quietly(store, place, records, record)
    page = render_report(facts)
    path = write_page(out.absolute() if out else _choose_path(place, record, facts), page)
    document = ReportDocument(
        run_id=record.run_id,
        pipeline=record.pipeline,
        status=record.status,
        path=str(path),
        num_bytes=len(page.encode()),
        num_images=len(facts.images.worst) + len(facts.images.median) if facts.images else 0,
        missing=facts.missing,
    )
    if as_json:
        print(document.model_dump_json())
    else:
        for sentence in facts.missing:
            console.messages.print(f"missing: {sentence}", markup=False, soft_wrap=True)
        console.answers.print(f"report: {path}", markup=False, soft_wrap=True)
    if open_page and not webbrowser.open(path.as_uri()):
        console.messages.print("no browser could be started; open the file yourself", markup=False)
    return 0


def _collect_quietly(
    store: MetadataStore, place: Workspace, records: Sequence[RunRecord], record: RunRecord
) -> RunFacts:
    """Collects the facts; scores images only where the run kept none.

    What TensorFlow writes to stderr meanwhile goes nowhere.
    """
    facts = collect_run(store, place, records, record, score_images=False)
    if facts.images is not None:
        return facts
    with console.quiet(Path(os.devnull), verbose=False):
        console.install_reporter()
        return collect_run(store, place, records, record, score_images=True)


def _choose_path(place: Workspace, record: RunRecord, facts: RunFacts) -> Path:
    """Returns where the page goes: a page that may say more than this one is left alone."""
    path = place.report(record.run_id) / PAGE
    return path.with_name(_REMADE) if facts.missing and path.exists() else path
