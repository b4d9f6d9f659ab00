"""Real runs with one change between each two, explained from the metadata store.

The tests are steps of one journey and run in their order. The packages are copied and run from the copy, so
that a line of code can be changed.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = [
    pytest.mark.slow,
    pytest.mark.journey,
    pytest.mark.long,
    pytest.mark.timeout(1200),
]

REPOSITORY = Path(__file__).resolve().parents[2]
_NOTHING = {"configuration": [], "code": [], "data": {}, "environment": []}
_KINDS = ("added", "removed", "changed_image", "changed_mask", "moved")


@pytest.fixture(scope="module")
def journey(tmp_path_factory, make_boxes, write_config):
    """Returns the folder with the data set, its configuration and a copy of the code."""
    folder = tmp_path_factory.mktemp("history")
    for package in ("data", "trainer", "components", "pipeline"):
        shutil.copytree(REPOSITORY / package, folder / "code" / package)
    root = make_boxes(folder / "boxes")
    write_config(
        folder / "boxes.yaml",
        root,
        trainer={
            "model": {"head": "fcn8s", "width": 8, "dropout": 0.0},
            "batch_size": 8,
            "epochs": 2,
            "learning_rate": 0.01,
        },
        # Whatever comes out of two epochs is pushed: here it is the history that is tested.
        evaluation={"gates": {"floors": {"mean_iou": 0.0}, "max_drop": {"mean_iou": 1.0}}},
        data_gate={"max_drift": None},
    )
    return folder


@pytest.fixture
def call(deconvflow, journey):
    """Calls a command on the journey's workspace and code, with --json."""

    def run(command, *arguments):
        return deconvflow(
            command, *arguments, "--workspace", journey / "workspace", "--json", cwd=journey / "code"
        )

    return run


def _start(call, journey, *arguments):
    return call("run", "--config", journey / "boxes.yaml", *arguments)


def _compare_last_two(call):
    runs = [run["run_id"] for run in call("runs").document["runs"]]
    document = call("compare", *runs[-2:]).document
    (data,) = document["data"]
    return {
        "configuration": [difference["key"] for difference in document["configuration"]],
        "code": [difference["key"] for difference in document["code"]["files"]],
        "data": {kind: [change["id"] for change in data[kind]] for kind in _KINDS if data[kind]},
        "environment": [difference["key"] for difference in document["environment"]["values"]],
    }


def _digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_a_first_run_is_pushed(call, journey):
    done = _start(call, journey)
    assert done.status == 0, done.stderr
    (row,) = call("runs").document["runs"]
    assert row["changes"]["previous"] is None
    assert row["pushed_version"] == 1


def test_a_changed_mask_is_named_and_nothing_else(call, journey):
    path = journey / "boxes" / "masks" / "train" / "scene_003.png"
    mask = np.array(Image.open(path))
    mask[39, 0] = 255 if mask[39, 0] != 255 else 0
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG")
    path.write_bytes(buffer.getvalue())
    assert _start(call, journey).status == 0
    assert _compare_last_two(call) == _NOTHING | {"data": {"changed_mask": ["train/scene_003"]}}


def test_a_changed_line_of_code_is_named_and_nothing_else(call, journey):
    path = journey / "code" / "trainer" / "optimization.py"
    path.write_text(path.read_text() + "# One line more.\n")
    done = _start(call, journey)
    assert done.status == 0, done.stderr
    assert done.states["Trainer"] == "complete"
    assert _compare_last_two(call) == _NOTHING | {"code": ["trainer/optimization.py"]}


def test_a_changed_hyper_parameter_is_named_and_nothing_else(call, journey):
    done = _start(call, journey, "--set", "trainer.learning_rate=0.02")
    assert done.status == 0, done.stderr
    assert _compare_last_two(call) == _NOTHING | {"configuration": ["trainer.learning_rate"]}


def test_runs_says_what_was_changed_for_each(call):
    changes = [run["changes"] for run in call("runs").document["runs"]]
    found = [
        ([change["key"] for change in c["configuration"]], c["data"], c["code"], c["environment"])
        for c in changes[1:]
    ]
    assert found == [
        ([], True, False, False),
        ([], False, True, False),
        (["trainer.learning_rate"], False, False, False),
    ]


def test_show_tells_cached_components_by_the_run_that_made_them(call):
    runs = [run["run_id"] for run in call("runs").document["runs"]]
    document = call("show", "latest").document
    origin = {component["id"]: component["reused_from"] for component in document["components"]}
    assert origin["Trainer"] is None
    assert origin["DatasetSnapshot"] == runs[1]
    assert origin["ImportSchemaGen"] == runs[0]
    assert {result["split"] for result in document["evaluation"]["results"]} == {"val", "test"}
    assert all(gate["passed"] for gate in document["evaluation"]["gates"])
    assert document["data_gate"]["examples"] == {"train": 32, "val": 6, "test": 8}
    assert document["notes"] == []


def test_lineage_of_the_served_model_reaches_every_source_file_by_its_content(call, journey):
    newest = max(call("runs").document["runs"], key=lambda run: run["pushed_version"] or 0)
    document = call("lineage", newest["pushed_uri"]).document
    root = journey / "boxes"
    found = {image["image_path"]: image["image_sha256"] for image in document["images"]}
    found |= {image["mask_path"]: image["mask_sha256"] for image in document["images"]}
    assert found == {str(path): _digest(path) for path in root.rglob("*.png")}
    components = {node["label"] for node in document["nodes"] if node["kind"] == "component"}
    assert {"Pusher", "Trainer", "Transform", "SegmentationExampleGen", "DatasetSnapshot"} <= components
    shards = [path for node in document["nodes"] for path in node["files"] if "/Split-train/" in path]
    assert shards and all(Path(path).is_file() for path in shards)


def test_and_back_from_an_image_to_every_run_and_model(call):
    runs = [run["run_id"] for run in call("runs").document["runs"]]
    rows = call("lineage", "train/scene_003").document["sightings"]
    assert [row["run_id"] for row in rows] == runs
    assert all(row["split"] == "train" and row["trained"] for row in rows)
    pushed = [row["pushed"] for row in rows]
    # A comment in the code may give the very same model again, which is then the version that is there.
    assert pushed[:2] == ["boxes/1", "boxes/2"] and pushed[2] in ("boxes/2", "boxes/3")
    assert int(pushed[3].removeprefix("boxes/")) == int(pushed[2].removeprefix("boxes/")) + 1
    assert len({row["mask_sha256"] for row in rows}) == 2
    tested = call("lineage", "test/scene_000").document["sightings"]
    assert {(row["split"], row["trained"]) for row in tested} == {("test", False)}


def test_a_refused_run_is_explained(call, journey):
    path = journey / "boxes" / "images" / "train" / "scene_001.png"
    path.write_bytes(path.read_bytes()[:200])
    assert _start(call, journey).status == 2
    document = call("show", "latest").document
    assert document["run"]["status"] == "refused"
    assert document["failed_component"] == "SegmentationExampleGen"
    assert "scene_001.png" in document["run"]["error"]
    assert json.dumps(document["run"]["changes"]["data"]) == "true"
