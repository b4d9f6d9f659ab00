"""The tuner's trials on the page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.report.collect_facts import RunSources, collect_facts
from components.report.facts import RunFacts
from components.report.read_tuning import Trial, Tuning, read_tuning
from components.report.render_report import render_report

RATE, WIDTH = "trainer.learning_rate", "trainer.model.width"
RESULTS: dict[str, Any] = {
    "objective": "mean_iou",
    "algorithm": "hyperband",
    "max_trials": 3,
    "best": "1",
    "trials": [
        {"id": "0", "status": "completed", "score": 0.25, "seconds": 12.5, "epochs": 2, "best_epoch": 1,
         "values": {RATE: 0.000123456, WIDTH: 4}, "message": None},
        {"id": "2", "status": "failed", "score": None, "seconds": None, "epochs": None, "best_epoch": None,
         "values": {RATE: 0.5, WIDTH: 16}, "message": "The loss is <nan>."},
        {"id": "1", "status": "completed", "score": 0.75, "seconds": 95.0, "epochs": 4, "best_epoch": 4,
         "values": {RATE: 0.01}, "message": None},
    ],
}  # fmt: skip


def test_trials_come_best_first_and_those_that_failed_last() -> None:
    tuning = read_tuning(RESULTS)
    assert tuning == Tuning(
        "mean_iou",
        "hyperband",
        "1",
        (RATE, WIDTH),
        (
            Trial("1", "completed", 0.75, 4, 95.0, ("0.01", "")),
            Trial("0", "completed", 0.25, 2, 12.5, ("0.0001235", "4")),
            Trial("2", "failed", None, None, None, ("0.5", "16"), "The loss is <nan>."),
        ),
    )


def test_the_page_has_a_table_with_the_best_marked(
    make_facts: Callable[..., RunFacts], parse_page: Callable[[str], Any]
) -> None:
    page = parse_page(render_report(make_facts(tuning=read_tuning(RESULTS))))
    table = page.one("table", class_="trials")
    headings = [cell.text for cell in table.one("thead").all("th")]
    assert headings == ["Trial", "State", "Mean IoU", RATE, WIDTH, "Epochs", "Time"]
    rows = [[cell.text for cell in row.children] for row in table.one("tbody").all("tr")]
    assert [row[0] for row in rows] == ["1 best", "0", "2"]
    assert rows[0][1:6] == ["completed", "0.7500", "0.01", "", "4"]
    assert rows[2][1:3] == ["failed The loss is <nan>.", "\N{EN DASH}"]
    assert [link.text for link in page.one("nav").all("a")].count("Trials") == 1


def test_a_run_without_a_tuner_has_no_such_section(
    make_facts: Callable[..., RunFacts], parse_page: Callable[[str], Any]
) -> None:
    page = parse_page(render_report(make_facts()))
    assert not page.all("section", id="tuning")
    assert "Trials" not in [link.text for link in page.one("nav").all("a")]


def test_they_are_read_from_the_tuners_folder_and_damage_is_said(tmp_path: Path) -> None:
    path = tmp_path / "trials.json"
    path.write_text(json.dumps(RESULTS))
    sources = RunSources(configuration={}, tuner_results=str(tmp_path))
    assert collect_facts(sources).tuning == read_tuning(RESULTS)
    path.write_text(json.dumps({"trials": [{"id": 3}]}))
    facts = collect_facts(sources)
    assert facts.tuning is None
    assert any("The trials cannot be read" in sentence for sentence in facts.missing)
