"""Renders the local pages from the documents of the commands. Everything is escaped."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jinja2
import yaml

from components.report.render_report import build_environment, style_sheet
from pipeline import format_answers
from pipeline.history.comparison_documents import CompareDocument
from pipeline.history.describe_runs import gate_split
from pipeline.history.find_runs import STATUSES
from pipeline.history.lineage_documents import LineageDocument
from pipeline.history.outline_lineage import outline_lineage
from pipeline.history.run_documents import ShowDocument
from pipeline.ui.history_reader import RunsPage, RunsQuery
from trainer.confusion_matrix import SUMMARY_METRICS

_FOLDER = Path(__file__).parent / "templates"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SORTS = {"newest": "newest first", "started": "oldest first", "duration": "longest first"} | {
    name: f"best {format_answers.name_metric(name)}" for name in ("mean_iou", "pixel_accuracy")
}
_SORTS |= {"version": "newest version", "pipeline": "pipeline", "status": "state"}
SHOWN_ROWS = 200
"""Lists of images and sightings are cut after so many rows; the JSON has all."""
_STATES = {
    "pushed": "good", "complete": "good", "cached": "good", "failed": "bad", "refused": "bad",
}  # fmt: skip


@cache
def style() -> str:
    """Returns the style sheet: the report's, and what these pages add."""
    return style_sheet() + (_FOLDER / "ui.css").read_text(encoding="utf-8")


@cache
def _environment() -> jinja2.Environment:
    environment = build_environment(jinja2.FileSystemLoader(_FOLDER))
    environment.filters |= {
        "duration": format_answers.format_seconds,
        "moment": format_answers.format_time,
        "share": format_answers.format_share,
        "difference": format_answers.format_difference,
        "value": format_answers.format_value,
        "change": format_answers.format_change,
        "changes": format_answers.format_changes,
        "metric_name": format_answers.name_metric,
        "short": format_answers.short,
        "zip_self": lambda values: [(value, value) for value in values],
        "state_kind": lambda state: _STATES.get(state, "warn"),
    }
    environment.globals |= {
        "link": link,
        "style_version": hashlib.sha256(style().encode()).hexdigest()[:12],
        "shown_rows": SHOWN_ROWS,
    }
    return environment


def link(path: str, **parameters: Any) -> str:
    """Returns an address with a query; parameters that are empty are left out, lists are repeated."""
    query = urlencode({key: value for key, value in parameters.items() if value}, doseq=True)
    return f"{path}?{query}" if query else path


class Renderer:
    """Renders each kind of page."""

    def __init__(self, workspace: str) -> None:
        """Takes the workspace's path, which stands at the foot of each page."""
        self._workspace = workspace

    def runs(self, page: RunsPage, query: RunsQuery) -> str:
        """Returns the table of runs."""
        splits = [query.split or gate_split(record) for record in page.records]
        options = {key: value for key, value in vars(query).items() if key != "page"}
        return self._render(
            "runs.html.j2",
            page=page,
            query=query,
            options=options,
            rows=list(zip(page.document.runs, splits, strict=True)),
            statuses=STATUSES,
            sorts=_SORTS | ({} if query.sort in _SORTS else {query.sort: query.sort}),
            json_link=link("/runs.json", **options, page=query.page),
        )

    def show(self, document: ShowDocument) -> str:
        """Returns the page of one run."""
        evaluation = document.evaluation
        results = evaluation.results if evaluation else ()
        configuration = yaml.safe_dump(document.configuration, sort_keys=False, allow_unicode=True, width=100)
        return self._render(
            "show.html.j2",
            document=document,
            run=document.run,
            results=results,
            summary_metrics=SUMMARY_METRICS,
            environment_text=yaml.safe_dump(document.environment, sort_keys=False, allow_unicode=True)
            if document.environment
            else "",
            configuration=configuration if document.configuration else "",
            json_link=link("/show.json", run=document.run.run_id),
        )

    def compare(self, document: CompareDocument) -> str:
        """Returns what differs between runs."""
        run_ids = [run.run_id for run in document.runs]
        return self._render(
            "compare.html.j2",
            document=document,
            names=dict(zip(run_ids, _LETTERS, strict=False)),
            json_link=link("/compare.json", run=run_ids),
        )

    def lineage(self, document: LineageDocument | None, subject: str, kind: str) -> str:
        """Returns where something comes from; without a document, the form that asks for it."""
        query = {"of": subject, "as": kind}
        return self._render(
            "lineage.html.j2",
            document=document,
            subject=subject,
            kind=kind,
            tree=outline_lineage(document) if document and document.kind != "image" else None,
            json_link=link("/lineage.json", **query) if document else "",
            picture_link=link("/lineage.svg", **query),
        )

    def problem(self, status: int, sentences: list[str]) -> str:
        """Returns the page that says what is wrong."""
        titles = {404: "Not found", 400: "That makes no sense", 503: "Not just now"}
        return self._render(
            "problem.html.j2", title=titles.get(status, "Something went wrong"), sentences=sentences
        )

    def _render(self, template: str, **values: Any) -> str:
        values = {"json_link": "", **values}
        text: str = _environment().get_template(template).render(workspace=self._workspace, **values)
        return text
