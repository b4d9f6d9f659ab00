"""``deconvflow report``: a page for any run, whatever became of it and of its files."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from components.report.facts import ImageResult, ImageResults, Picture
from components.report.keep_images import write_images
from pipeline.history.report_document import ReportDocument
from pipeline.make_report import publish_report
from pipeline.workspace import Workspace

REPOSITORY = Path(__file__).resolve().parents[2]
PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptV"
PIXEL += "AAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="


def text_of(path: str | Path) -> str:
    page = re.sub(r"(?s)<(style|script)>.*?</\1>", " ", Path(path).read_text("utf-8"))
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def keep_images(history: Any, run_id: str) -> None:
    """Leaves images beside the page of a run's RunReport, as the component does."""
    picture = Picture(PIXEL, 1, 1, "a pixel")
    image = ImageResult("street/1", 0.25, 0.5, 1, 1, picture, picture, picture, picture, (0, 1, 0.5))
    for folder in history.workspace.glob("pipelines/*/RunReport/report/*"):
        write_images(folder, ImageResults("test", 2, True, (image,), ()))


def test_the_page_of_a_run_goes_to_the_reports(four_runs: Any, ask: Any) -> None:
    keep_images(four_runs, "run-1")
    done = ask("report", "run-1", "--json")
    document = ReportDocument.model_validate_json(done.out)
    text = text_of(document.path)

    assert (done.status, done.err) == (0, "")
    assert document.path == str(four_runs.workspace / "reports" / "run-1" / "index.html")
    assert document.num_bytes == Path(document.path).stat().st_size
    assert (document.run_id, document.status, document.num_images) == ("run-1", "pushed", 1)
    assert "Blessed and pushed as version 1" in text
    assert "Run run-1 , started" in text
    assert "street/1" in text
    for step in ("Pushed version boxes/1", "Evaluation", "Shards", "Snapshot", "Source images 4 train"):
        assert step.split(" 4")[0] in text
    assert "4 train, 2 val, 2 test" in text
    assert "images/train/scene_000.png" in text
    assert "The first run of this pipeline." in text


def test_a_run_from_the_cache_says_where_its_parts_come_from(four_runs: Any, ask: Any) -> None:
    done = ask("report", "run-4", "--json", "-o", four_runs.workspace / "page.html")
    text = text_of(four_runs.workspace / "page.html")

    assert done.status == 0
    assert "DatasetSnapshot, in run run-2 , taken from the cache" in text
    assert "Trainer, in this run" in text
    assert "Changed since run run-3 : trainer.learning_rate 0.01 → 0.02" in text


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        ({"status": "failed", "error": "No space left on device: /tmp/x", "fails_at": "Trainer"},
         ("Failed in Trainer", "No space left on device: /tmp/x")),
        ({"status": "refused", "error": "a.png: is empty. Remove it.", "fails_at": "SegmentationExampleGen"},
         ("Refused", "a.png: is empty. Remove it.", "Nothing was lost")),
        ({"status": "interrupted", "error": "interrupted", "fails_at": "Transform"},
         ("Interrupted",)),
    ],
)  # fmt: skip
def test_a_run_that_came_to_nothing_has_a_page(
    history: Any, writing: Any, ask: Any, plan: dict[str, Any], says: tuple[str, ...]
) -> None:
    history.add_run(writing.PlannedRun("run-1", **plan))
    done = ask("report", "--json", "-o", history.workspace / "page.html")
    text = text_of(history.workspace / "page.html")

    assert done.status == 0
    assert all(part in text for part in says)
    assert "This page is not complete" in text
    assert any("no model" in sentence for sentence in json.loads(done.out)["missing"])


def test_what_was_deleted_is_said(four_runs: Any, ask: Any) -> None:
    shutil.rmtree(four_runs.workspace / "pipelines")
    done = ask("report", "run-1", "--json")
    document = json.loads(done.out)
    text = text_of(document["path"])

    assert done.status == 0
    assert "The files of Trainer's model are not there any more." in document["missing"]
    assert "The files of Trainer's model are not there any more." in text
    assert "Mean IoU 0.739" in text  # (90/120 + 80/110) / 2, from the store
    assert "Blessed and pushed as version 1" in text
    assert "gone" in text


def test_a_fuller_page_is_not_overwritten(four_runs: Any, ask: Any) -> None:
    recorded = four_runs.workspace / "reports" / "run-1" / "index.html"
    recorded.parent.mkdir(parents=True)
    recorded.write_text("the page with its images")
    shutil.rmtree(four_runs.workspace / "pipelines")
    done = ask("report", "run-1")

    assert recorded.read_text() == "the page with its images"
    assert f"report: {recorded.with_name('remade.html')}" in done.out
    assert "missing: The files of" in done.err


@pytest.mark.parametrize("kept", ["{", "[]", '{"split": 1}'])
def test_damaged_files_are_said(four_runs: Any, ask: Any, kept: str) -> None:
    for path in four_runs.workspace.glob("pipelines/**/*"):
        if path.is_file() and path.suffix in (".json", ".jsonl", ".pb"):
            path.write_text(kept)
    done = ask("report", "run-1", "--json")

    assert done.status == 0
    assert json.loads(done.out)["missing"]
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("nope",), "run nope: does not exist"),
        (("run",), "beginning of 4 runs"),
        (("run-1", "-o", "/proc/nothing/page.html"), "cannot be written"),
        (("run-1", "-o", "/tmp"), "is a folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_is_a_sentence(four_runs: Any, ask: Any, asked: tuple[str, ...], says: str) -> None:
    keep_images(four_runs, "run-1")
    done = ask("report", *asked)

    assert (done.status, done.out) == (2, "")
    assert says in done.err and "Traceback" not in done.err
    assert json.loads(ask("report", *asked, "--json").out)["status"] == "refused"


def test_the_browser_is_asked_to_show_it(four_runs: Any, ask: Any, monkeypatch: Any) -> None:
    keep_images(four_runs, "run-1")
    shown: list[str] = []
    monkeypatch.setattr("pipeline.report_command.webbrowser.open", lambda url: shown.append(url) or False)
    done = ask("report", "run-1", "--open")

    assert shown == [(four_runs.workspace / "reports/run-1/index.html").as_uri()]
    assert "no browser could be started" in done.err


@pytest.mark.slow
def test_neither_report_nor_ui_waits_for_tensorflow_or_tfx(four_runs: Any) -> None:
    keep_images(four_runs, "run-1")
    script = (
        "import sys\n"
        "from pipeline import cli\n"
        f"cli.app(['report', 'run-1', '-w', {str(four_runs.workspace)!r}], standalone_mode=False)\n"
        "import pipeline.ui.serve\n"
        "print({'tensorflow', 'tfx', 'apache_beam', 'keras'} & set(sys.modules), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stderr.splitlines()[-1] == "set()"


def test_the_page_that_a_run_leaves_is_that_run_s_own(four_runs: Any) -> None:
    keep_images(four_runs, "run-4")
    workspace = Workspace(four_runs.workspace)
    path = publish_report(four_runs.store, workspace, "run-4")

    assert path == workspace.report("run-4") / "index.html"
    text = text_of(path)
    assert "Run run-4 , started" in text
    assert "DatasetSnapshot, in run run-2 , taken from the cache" in text
    assert "street/1" in text
    assert [one.name for one in path.parent.iterdir()] == ["index.html"]


def test_a_run_does_not_fail_for_its_page(four_runs: Any, caplog: Any) -> None:
    assert publish_report(four_runs.store, Workspace(four_runs.workspace), "nope") is None
    assert "the report of run nope was not written" in caplog.text
