"""The queries of the pages: those of the commands, on one store that several requests share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from ml_metadata import MetadataStore, errors

from components.report.facts import RunFacts
from data.errors import Problem, RefusedError
from pipeline import tracking
from pipeline.compare_command import check_number
from pipeline.history import find_runs
from pipeline.history.compare_runs import compare_runs
from pipeline.history.comparison_documents import CompareDocument
from pipeline.history.describe_runs import describe_runs
from pipeline.history.explain_run import explain_run
from pipeline.history.lineage_documents import LineageDocument
from pipeline.history.run_documents import RunsDocument, ShowDocument
from pipeline.lineage_command import LineageQuery, find_lineage
from pipeline.make_report import collect_run
from pipeline.store_address import find_store
from pipeline.tracking import RunRecord
from pipeline.workspace import Workspace

PAGE_ROWS = 50
T = TypeVar("T")


@dataclass(frozen=True)
class RunsQuery:
    """What is asked of the table of runs."""

    pipeline: str = ""
    status: str = ""
    since: str = ""
    blessed: str = ""
    """yes, no, or empty for either."""
    sort: str = "newest"
    """newest, or what ``deconvflow runs --sort`` takes."""
    split: str = ""
    page: int = 1


@dataclass(frozen=True)
class RunsPage:
    """One page of the table."""

    document: RunsDocument
    records: tuple[RunRecord, ...]
    """Of the document's runs."""
    found: int
    """Runs that passed the filters."""
    pages: int
    pipelines: tuple[str, ...]
    splits: tuple[str, ...]


class HistoryReader:
    """Answers one query at a time."""

    def __init__(self, workspace: Workspace) -> None:
        """Opens the workspace's store.

        Raises:
            RefusedError: if there is none.
        """
        self.workspace = workspace
        self._lock = threading.Lock()
        self._store: MetadataStore | None = self._open()

    def list_runs(self, query: RunsQuery) -> RunsPage:
        """Returns one page of the table of runs.

        Raises:
            RefusedError: if what is asked makes no sense.
        """
        wanted = find_runs.RunFilter(
            pipeline=query.pipeline or None,
            statuses=find_runs.read_statuses([query.status] if query.status else []),
            since=find_runs.read_since(query.since, datetime.now()) if query.since else None,
            blessed=_read_choice(query.blessed),
        )
        records = self._ask(tracking.list_runs)
        found = [record for record in records if wanted.passes(record)]
        if query.sort == "newest":
            found.reverse()
        else:
            found = find_runs.sort_runs(found, query.sort, query.split or None)
        start = (query.page - 1) * PAGE_ROWS
        shown = found[start : start + PAGE_ROWS]
        rows = describe_runs(records, [record.run_id for record in shown])
        return RunsPage(
            document=RunsDocument(runs=tuple(rows), total=len(records)),
            records=tuple(shown),
            found=len(found),
            pages=max(1, -(-len(found) // PAGE_ROWS)),
            pipelines=tuple(sorted({record.pipeline for record in records})),
            splits=tuple(sorted({split for record in records for split in record.metrics})),
        )

    def explain(self, run: str) -> ShowDocument:
        """Returns all about one run.

        Raises:
            RefusedError: if there is no such run.
        """

        def ask(store: MetadataStore) -> ShowDocument:
            records = tracking.list_runs(store)
            return explain_run(store, self.workspace, records, find_runs.resolve_run(records, run))

        return self._ask(ask)

    def compare(self, runs: Sequence[str], oldest_first: bool = False) -> CompareDocument:
        """Returns what differs between runs.

        Args:
            runs: ids or their beginnings; the others are compared with the first.
            oldest_first: compare with the oldest instead.

        Raises:
            RefusedError: if there is no such run, or fewer than two are named.
        """
        check_number(runs)

        def ask(store: MetadataStore) -> CompareDocument:
            found = find_runs.resolve_runs(tracking.list_runs(store), runs)
            return compare_runs(store, sorted(found, key=lambda run: run.started) if oldest_first else found)

        return self._ask(ask)

    def trace(self, subject: str, kind: str | None) -> LineageDocument:
        """Returns the lineage of a model, run or image.

        Raises:
            RefusedError: if nothing is meant by the subject, or more than one thing.
        """
        # A page opens no folder that whoever asks has named.
        query = LineageQuery(subject, kind, copies=False)
        return self._ask(lambda store: find_lineage(store, tracking.list_runs(store), query))

    def collect(self, run: str) -> RunFacts:
        """Returns the facts of a run's page, with the images that the run kept.

        Raises:
            RefusedError: if there is no such run.
        """

        def ask(store: MetadataStore) -> RunFacts:
            records = tracking.list_runs(store)
            record = find_runs.resolve_run(records, run)
            return collect_run(store, self.workspace, records, record, score_images=False)

        return self._ask(ask)

    def _open(self) -> MetadataStore:
        return tracking.open_store(find_store(self.workspace))

    def _ask(self, query: Callable[[MetadataStore], T]) -> T:
        """Asks the store; opens it anew after an error, since a server may have been away for a while."""
        with self._lock:
            try:
                if self._store is None:
                    self._store = self._open()
                return query(self._store)
            except errors.StatusError as error:
                self._store = None
                what = f"does not answer ({' '.join(str(error).split())[:300]})"
                remedy = "Load the page again in a moment"
                raise RefusedError([Problem("the metadata store", what, remedy, "store_busy")]) from None


def _read_choice(text: str) -> bool | None:
    if text not in ("", "yes", "no"):
        raise RefusedError(
            [Problem(f"blessed={text}", "is neither yes nor no", "Take one of them", "bad_option")]
        )
    return {"yes": True, "no": False}.get(text)
