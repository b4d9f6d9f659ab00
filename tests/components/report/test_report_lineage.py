"""The way from the model back to the images, and the images that a page keeps for later ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.report.facts import ComponentState, RunFacts, RunOutcome
from components.report.keep_images import IMAGES_FILE, read_images, write_images
from components.report.lineage import SHOWN_FILES, Lineage, MadeArtifact, trace_lineage
from components.report.render_report import render_report

MADE = {
    "pushed_model": MadeArtifact("/serving/streets/3", "Pusher", "run-2", facts={"Version": "3"}),
    "blessing": MadeArtifact("/e/11", "Evaluator", "run-2", code_fingerprint="e" * 64),
    "model": MadeArtifact("/t/8", "Trainer", "run-1", code_fingerprint="c" * 64, is_gone=True),
    "examples": MadeArtifact(
        "/x/3",
        "SegmentationExampleGen",
        "run-1",
        data_fingerprint="d" * 64,
        files=[f"shard-{i}" for i in range(SHOWN_FILES + 5)],
    ),
    "images": MadeArtifact("/data/streets", facts={"Images": "40 train"}, files=["train: a.png, mask b.png"]),
}
MANIFEST = {"name": "streets", "created": "2026-11-23T15:59:28+00:00"}


def trace(verdict: dict[str, Any] | None = None) -> Lineage:
    verdict = {"model_fingerprint": "f" * 64} if verdict is None else verdict
    return trace_lineage(MADE, verdict, MANIFEST, {"Configuration fingerprint": "a" * 64, "Source code": ""})


def test_the_way_leads_from_the_pushed_version_to_the_images() -> None:
    lineage = trace()
    pushed, evaluation, model, shards, images = lineage.steps

    assert pushed.title == "Pushed version streets/3"
    assert pushed.facts == {"Folder": "/serving/streets/3", "Created": "2026-11-23 15:59:28 UTC"}
    assert evaluation.fingerprints == {"Code": "e" * 64}
    assert (model.maker, model.run_id, model.is_gone) == ("Trainer", "run-1", True)
    assert model.fingerprints == {"Model": "f" * 64, "Code": "c" * 64}
    assert shards.fingerprints == {"Data": "d" * 64}
    assert (len(shards.files), shards.num_files) == (SHOWN_FILES, SHOWN_FILES + 5)
    assert images.facts == {"Folder": "/data/streets", "Images": "40 train"}
    assert lineage.fingerprints == {"Configuration fingerprint": "a" * 64}


def test_a_model_that_was_not_pushed_has_no_pushed_version() -> None:
    made = MADE | {"pushed_model": MadeArtifact("/p/12", "Pusher", "run-2")}

    assert trace_lineage(made, {}, {}, {}).steps[0].title == "Evaluation"
    assert trace_lineage({}, {}, {}, {}).steps == ()


def test_the_baseline_is_named_with_the_run_that_pushed_it(tmp_path: Path) -> None:
    def compared(verdict: dict[str, Any]) -> str:
        return trace(verdict).steps[1].facts["Compared with"]

    baseline = {"baseline": {"version": 2, "uri": str(tmp_path / "2")}}
    assert compared(baseline) == f"version 2 in {tmp_path}/2, which is not there any more"
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "manifest.json").write_text(json.dumps({"run_id": "run-0"}))
    assert compared(baseline) == f"version 2 in {tmp_path}/2, pushed by run run-0"
    (tmp_path / "2" / "manifest.json").write_text("[")
    assert compared(baseline) == f"version 2 in {tmp_path}/2"
    assert compared({"baseline": None, "notes": ["There was nothing to compare with: no push yet."]}) == (
        "nothing: no push yet"
    )
    assert compared({"baseline": None}) == "nothing"


def test_the_page_shows_the_way_as_a_list(
    make_facts: Callable[..., RunFacts], parse_page: Callable[[str], Any]
) -> None:
    outcome = RunOutcome(
        "pushed",
        started="2026-03-31 08:00",
        seconds=75.0,
        components=(ComponentState("Trainer", "cached", 0.1, "run-1"),),
        previous_run="run-1",
        changes=("trainer.epochs 20 to 30", "data"),
    )
    facts = make_facts(run_id="run-2", outcome=outcome, lineage=trace())
    page = parse_page(render_report(facts))
    section = page.one("section", id="lineage")
    steps = section.one("ol", class_="lineage").all("li")

    titles = [one.one("h3").text for one in steps if one.parent.attributes.get("class") == "lineage"]
    assert [title.split(" ")[0] for title in titles] == ["Pushed", "Evaluation", "Model", "Shards", "Source"]
    assert "gone" in section.one("li", class_="gone").text
    assert section.one("li", class_="gone").one("p").text == "Trainer, in run , taken from the cache run-1"
    assert "Pusher, in this run" in section.text
    assert "and 5 more" in section.text
    assert "trainer.epochs 20 to 30" in section.text
    assert "run-1" in page.one("table", class_="components").text
    assert "started 2026-03-31 08:00" in page.one("header").text


def test_kept_images_are_the_same_again(make_facts: Callable[..., RunFacts], tmp_path: Path) -> None:
    images = make_facts().images
    assert images is not None
    write_images(tmp_path, images)

    assert read_images(str(tmp_path), 3) == images
    assert [path.name for path in tmp_path.iterdir()] == [IMAGES_FILE]


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: entry["image"].update(data_uri="https://example.com/a.png"),
        lambda entry: entry["truth"].update(data_uri="data:image/svg+xml;base64,AAAA"),
        lambda entry: entry["error"].update(data_uri='data:image/png;base64,AA"onload="x'),
        lambda entry: entry.update(worst_confusion=[0, 99, 0.5]),
        lambda entry: entry.pop("mean_iou"),
        lambda entry: entry.update(width_px="wide"),
    ],
)
def test_damaged_images_are_refused(
    make_facts: Callable[..., RunFacts], tmp_path: Path, damage: Callable[[dict[str, Any]], None]
) -> None:
    images = make_facts().images
    assert images is not None
    write_images(tmp_path, replace(images, median=()))
    document = json.loads((tmp_path / IMAGES_FILE).read_text())
    damage(document["worst"][0])
    (tmp_path / IMAGES_FILE).write_text(json.dumps(document))

    with pytest.raises(ValueError):
        read_images(str(tmp_path), 3)
