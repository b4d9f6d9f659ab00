"""What the local pages say, and that their JSON is that of the commands."""

from __future__ import annotations

import html
import itertools
import json
import re
from typing import Any

import pytest
from starlette.testclient import TestClient

from pipeline.schemas import DOCUMENTS

HOSTILE = "<script>alert(1)</script>"
PAGES = (
    "/",
    "/runs?sort=mean_iou&split=test",
    "/show?run=run-3",
    "/compare?run=run-1&run=run-2&run=run-4",
    "/lineage",
    "/lineage?of=boxes/3",
    "/lineage?of=run-2&as=run",
    "/lineage?of=train/scene_001",
)


def text_of(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_one_whole_document(client: TestClient, path: str, parse_page: Any) -> None:
    answer = client.get(path)
    page = parse_page(answer.text)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert len(page.all("h1")) == len(page.all("main")) == len(page.all("footer")) == 1
    assert page.one("html").attributes["lang"] == "en"
    assert not page.all("script") + page.all("style") + page.all("iframe")
    assert not [one for one in page.walk() if any(key.startswith("on") for key in one.attributes)]
    assert "http://" not in answer.text and "https://" not in answer.text
    ids = [one.attributes["id"] for one in page.walk() if "id" in one.attributes]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("command", "path"),
    [
        ("runs", "/runs.json?sort=mean_iou"),
        ("show", "/show.json"),
        ("compare", "/compare.json?run=run-1&run=run-2"),
        ("lineage", "/lineage.json?of=boxes/1"),
        ("lineage", "/lineage.json?of=train/scene_001&as=image"),
    ],
)
def test_json_is_the_document_of_the_command(client: TestClient, command: str, path: str) -> None:
    answer = client.get(path)
    document = answer.json()

    assert answer.headers["content-type"] == "application/json"
    assert json.loads(DOCUMENTS[command].model_validate(document).model_dump_json()) == document


@pytest.mark.parametrize("path", PAGES[:4] + PAGES[5:])
def test_every_page_links_to_its_json(client: TestClient, path: str, parse_page: Any) -> None:
    page = parse_page(client.get(path).text)
    (link,) = [one for one in page.one("footer").all("a") if "JSON" in one.text]

    assert client.get(link.attributes["href"]).headers["content-type"] == "application/json"


@pytest.mark.slow
def test_every_link_of_every_page_leads_somewhere(client: TestClient, parse_page: Any) -> None:
    seen: set[str] = set()
    waiting = ["/"]
    while waiting and len(seen) < 150:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        answer = client.get(path)
        assert answer.status_code == 200, path
        if answer.headers["content-type"].startswith("text/html") and not path.startswith("/report"):
            links = [one.attributes["href"] for one in parse_page(answer.text).all("a")]
            waiting += [link for link in links if link.startswith("/")]

    assert {"/show", "/compare", "/lineage", "/report", "/runs.json"} <= {one.split("?")[0] for one in seen}


def test_runs_are_filtered_sorted_and_named(client: TestClient, parse_page: Any) -> None:
    def listed(query: str) -> list[str]:
        table = parse_page(client.get(f"/runs?{query}").text).one("table", class_="runs")
        return [row.one("th").text for row in table.one("tbody").all("tr")]

    assert listed("") == ["run-4", "run-3", "run-2", "run-1"]
    assert listed("sort=started") == ["run-1", "run-2", "run-3", "run-4"]
    assert listed("sort=mean_iou")[0] == "run-2"
    assert listed("status=not blessed") == ["run-3"]
    assert listed("blessed=yes") == ["run-4", "run-2", "run-1"]
    assert listed("since=1h&blessed=no") == ["run-3"]
    assert "No run passes these filters" in client.get("/runs?since=2999-01-01").text
    assert "trainer.learning_rate 0.01 → 0.02" in text_of(client.get("/").text)


@pytest.mark.slow
def test_long_tables_come_in_pages(history: Any, writing: Any, open_client: Any, parse_page: Any) -> None:
    history.add_runs([writing.PlannedRun(f"run-{index:03d}") for index in range(120)])
    client = open_client(history)

    def listed(query: str) -> list[str]:
        table = parse_page(client.get(f"/runs?{query}").text).one("table", class_="runs")
        return [row.one("th").text for row in table.one("tbody").all("tr")]

    pages = [listed(f"sort=pipeline&page={page}") for page in (1, 2, 3)]
    assert [len(page) for page in pages] == [50, 50, 20]
    assert sorted(run for page in pages for run in page) == [f"run-{index:03d}" for index in range(120)]
    assert "No run passes" in client.get("/runs?page=4").text
    paging = parse_page(client.get("/runs?page=2&status=pushed").text).one("nav", class_="paging")
    previous = next(one for one in paging.all("a") if one.text == "Previous page")
    assert previous.attributes["href"] == "/runs?status=pushed&sort=newest&page=1"


def test_the_page_of_a_run_explains_it(client: TestClient) -> None:
    text = text_of(client.get("/show?run=run-3").text)

    for part in (
        "run-3",
        "not blessed",
        "Compare with the run before",
        "code",
        "mean_iou on test is",
        "failed",
    ):
        assert part in text
    assert "DatasetSnapshot cached" in text
    assert text_of(client.get("/show").text).startswith("Run run-4")


def test_chosen_runs_are_compared_with_the_oldest(client: TestClient) -> None:
    chosen = client.get("/compare.json?order=started&run=run-3&run=run-1").json()
    named = client.get("/compare.json?run=run-3&run=run-1").json()

    assert [run["run_id"] for run in chosen["runs"]] == ["run-1", "run-3"]
    assert [run["run_id"] for run in named["runs"]] == ["run-3", "run-1"]
    text = text_of(client.get("/compare?run=run-1&run=run-2").text)
    assert "Mask changed: 1 train/scene_001 (train)" in text
    assert "Configuration The same." in text and "Code The same." in text


def test_lineage_leads_back_and_forward(client: TestClient) -> None:
    back = text_of(client.get("/lineage?of=boxes/3").text)
    assert back.index("Pusher") < back.index("Trainer") < back.index("4 train images")
    assert all(f"images/train/scene_00{index}.png" in back for index in range(4))
    forward = text_of(client.get("/lineage?of=train/scene_001").text)
    assert all(f"run-{index}" in forward for index in (1, 2, 3, 4)) and "boxes/3" in forward
    picture = client.get("/lineage.svg?of=boxes/3")
    assert picture.headers["content-type"] == "image/svg+xml"
    assert picture.text.startswith("<svg")


def test_the_report_is_made_from_the_store(client: TestClient) -> None:
    answer = client.get("/report?run=run-1")

    assert "Blessed and pushed as version 1" in answer.text
    assert "Pushed version boxes/1" in answer.text
    assert "No image is shown" in answer.text


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/show?run=nope", 404, "run nope: does not exist"),
        ("/report?run=nope", 404, "run nope: does not exist"),
        ("/show?run=run", 400, "beginning of 4 runs"),
        ("/compare?run=run-1", 400, "Name 2 to 26"),
        ("/compare?run=run-1&run=run-1", 400, "named twice"),
        ("/lineage?of=nope", 404, "no image in the data of any run"),
        ("/lineage?of=1&as=thing", 400, "is no kind of thing"),
        ("/runs?sort=accuracy", 400, "is no order of runs"),
        ("/runs?status=done", 400, "is no state of a run"),
        ("/runs?blessed=maybe", 400, "neither yes nor no"),
        ("/runs?page=0", 400, "is no page"),
        ("/runs?page=%D9%A3", 400, "is no page"),
        (f"/show?run={'x' * 5000}", 400, "is longer than"),
        ("/nothing", 404, "/nothing: does not exist"),
        ("/static/../../etc/passwd", 404, "does not exist"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_what_cannot_be_is_a_sentence(client: TestClient, path: str, status: int, says: str) -> None:
    answer = client.get(path)

    assert answer.status_code == status
    assert says in text_of(answer.text)
    assert "Traceback" not in answer.text
    if "?" in path and not path.startswith("/report"):
        refusal = client.get(path.replace("?", ".json?", 1))
        assert (refusal.status_code, refusal.json()["status"]) == (status, "refused")


def test_what_users_write_is_text(history: Any, writing: Any, open_client: Any, parse_page: Any) -> None:
    configuration = writing.make_configuration(HOSTILE)
    configuration["data"]["classes"][1]["name"] = "<script>"
    pairs = ((HOSTILE, "train", "i", "m"), *writing.make_pairs())
    history.add_run(writing.PlannedRun(HOSTILE, pairs=pairs, configuration=configuration))
    failed = {"status": "failed", "error": HOSTILE, "fails_at": "Trainer"}
    history.add_run(writing.PlannedRun(f"{HOSTILE}2", configuration=configuration, **failed))
    client: TestClient = open_client(history)
    paths: dict[str, dict[str, Any]] = {
        "/": {},
        "/show": {"run": HOSTILE + "2"},
        "/compare": {"run": [HOSTILE + "2", HOSTILE]},
        "/lineage": {"of": HOSTILE, "as": "image"},
        "/report": {"run": HOSTILE + "2"},
        "/lineage.svg": {"of": HOSTILE + "2", "as": "run"},
    }
    for path, query in paths.items():
        page = client.get(path, params=query).text
        assert "alert(1)" in html.unescape(page), path
        assert HOSTILE not in page, path
    traced = client.get("/lineage", params={"of": HOSTILE + "2", "as": "run"}).text
    assert HOSTILE not in traced
    assert HOSTILE not in client.get(f"/{HOSTILE}").text
    for run, path in itertools.product((HOSTILE, HOSTILE + "2"), ("/report", "/show")):
        page = parse_page(client.get(path, params={"run": run}).text)
        assert len(page.all("script")) == (1 if path == "/report" else 0)
        assert run.endswith("2") or "<script>" in page.one("main").text


def test_a_fault_is_a_sentence(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(*arguments: Any) -> None:
        raise RuntimeError("secret of the house")

    monkeypatch.setattr("pipeline.ui.history_reader.explain_run", break_down)
    answer = client.get("/show")

    assert answer.status_code == 500
    assert "RuntimeError" in answer.text
    assert "secret of the house" not in answer.text


def test_a_store_that_was_away_is_asked_again(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    from ml_metadata import errors

    def be_busy(*arguments: Any) -> None:
        raise errors.UnavailableError("database is locked")

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.ui.history_reader.tracking.list_runs", be_busy)
        answer = client.get("/")
        assert answer.status_code == 503
        assert "database is locked" in answer.text
    assert client.get("/").status_code == 200


def test_reading_changes_nothing(client: TestClient, four_runs: Any) -> None:
    def snapshot() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in four_runs.workspace.rglob("*") if path.is_file()}

    before = snapshot()
    for path in (*PAGES, "/report?run=run-1", "/lineage.svg?of=boxes/1"):
        assert client.get(path).status_code == 200
        assert client.head(path).status_code == 200

    assert snapshot() == before
