"""Makes the page of a recorded run from the metadata store and what the run's components left."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from ml_metadata import MetadataStore

from components.report.collect_facts import collect_facts
from components.report.facts import RunFacts
from components.report.render_report import render_report
from data.errors import Problem, RefusedError
from data.replace_file import replace_file
from pipeline import tracking
from pipeline.history.explain_run import explain_run
from pipeline.history.find_sources import find_sources
from pipeline.tracking import RunRecord
from pipeline.workspace import Workspace

PAGE = "index.html"


def collect_run(
    store: MetadataStore,
    workspace: Workspace,
    records: Sequence[RunRecord],
    run: RunRecord,
    score_images: bool,
) -> RunFacts:
    """Returns the facts of a recorded run.

    Args:
        store: of the workspace.
        workspace: for the log.
        records: all runs, oldest first.
        run: one of them.
        score_images: run the model for the images, where the run kept none. That takes TensorFlow.
    """
    return collect_facts(find_sources(explain_run(store, workspace, records, run)), score_images=score_images)


def publish_report(store: MetadataStore, workspace: Workspace, run_id: str) -> Path | None:
    """Writes the page of a run that has just ended; needs no TensorFlow. None where that fails.

    What RunReport wrote cannot know what became of the run and, where it comes from the cache, tells of an
    earlier one.
    """
    try:
        records = tracking.list_runs(store)
        run = next(record for record in records if record.run_id == run_id)
        facts = collect_run(store, workspace, records, run, score_images=False)
        return write_page(workspace.report(run_id) / PAGE, render_report(facts))
    except Exception:
        # The run is over, and its outcome must not depend on its page.
        logging.getLogger(__name__).exception("the report of run %s was not written", run_id)
        return None


def write_page(path: Path, page: str) -> Path:
    """Writes a page, all of it or nothing.

    Raises:
        RefusedError: if it cannot be written there.
    """
    if path.is_dir():
        remedy = f"Name a file, such as {path / 'report.html'}"
        raise RefusedError([Problem(str(path), "is a folder", remedy, "bad_output")])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, page)
    except OSError as error:
        what = f"cannot be written ({error.strerror or error})"
        raise RefusedError([Problem(str(path), what, "Name another file with --out", "bad_output")]) from None
    return path
