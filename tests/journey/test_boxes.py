"""From files to a pushed model, and everything that may come between, in one workspace.

The tests are steps of one journey and run in their order; each starts where the last one ended.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = [pytest.mark.slow, pytest.mark.journey, pytest.mark.timeout(900)]

# Looks at the world or only reports, and so may run whatever the cache says.
_ALWAYS = {"DataGate", "RunReport"}


@pytest.fixture(scope="module")
def journey(tmp_path_factory, make_boxes, write_config):
    folder = tmp_path_factory.mktemp("journey")
    root = make_boxes(folder / "boxes")
    return folder, root, write_config(folder / "boxes.yaml", root)


def _run(deconvflow, journey, *arguments):
    folder, _, config = journey
    return deconvflow("run", "--config", config, "--workspace", folder / "workspace", "--json", *arguments)


def _versions(journey) -> dict[str, str]:
    """Every served file with its digest."""
    serving = journey[0] / "workspace" / "serving"
    return {
        str(path.relative_to(serving)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(serving.rglob("*"))
        if path.is_file()
    }


def _reran(finished) -> set[str]:
    return {name for name, state in finished.states.items() if state == "complete"} - _ALWAYS


def test_first_run_pushes_version_1(deconvflow, journey):
    done = _run(deconvflow, journey)
    assert done.status == 0, done.stderr
    document = done.document
    assert document["status"] == "pushed"
    assert document["blessed"] is True
    assert Path(document["pushed_uri"]).name == "1"
    assert Path(document["report_uri"]).is_file()
    assert set(document["metrics"]) == {"val", "test"}
    assert 0.5 <= document["metrics"]["test"]["mean_iou"] <= 1
    assert set(document["metrics"]["test"]["iou"]) == {"background", "box"}
    assert set(done.states.values()) == {"complete"}
    assert "Traceback" not in done.stderr
    manifest = json.loads((Path(document["pushed_uri"]) / "manifest.json").read_text())
    assert [entry["name"] for entry in manifest["classes"]] == ["background", "box"]


_NUMPY_SCORE = """
import io, json, sys
from pathlib import Path
import numpy as np, tensorflow as tf
from PIL import Image
assert not {"data", "trainer", "components", "pipeline", "keras_cv"} & set(sys.modules)
model, root = tf.saved_model.load(sys.argv[1]), Path(sys.argv[2])
serve, matrix = model.signatures["serving_default"], np.zeros((2, 2), np.int64)
for path in sorted((root / "images/test").glob("*.png")):
    out = serve(image_bytes=tf.constant([path.read_bytes()]))
    mask = np.asarray(Image.open(io.BytesIO(out["mask_png_bytes"].numpy()[0])))
    truth = np.asarray(Image.open(root / "masks/test" / path.name))
    assert mask.shape == truth.shape and mask.dtype == np.uint8
    for t, p in zip(truth.ravel(), mask.ravel()):
        if t != 255:
            matrix[t, p] += 1
hit = np.diag(matrix)
iou = hit / (matrix.sum(0) + matrix.sum(1) - hit)
print(json.dumps({"pixel_accuracy": hit.sum() / matrix.sum(), "mean_iou": iou.mean(), "iou": iou.tolist()}))
"""


def test_metrics_equal_a_plain_recomputation_from_the_served_masks(deconvflow, journey, tmp_path):
    document = json.loads(deconvflow("runs", "-w", journey[0] / "workspace", "--json").stdout)
    run = document["runs"][0]
    done = subprocess.run(
        [sys.executable, "-c", _NUMPY_SCORE, run["pushed_uri"], str(journey[1])],
        capture_output=True, text=True, cwd=tmp_path, check=True,
    )  # fmt: skip
    recomputed, reported = json.loads(done.stdout), run["metrics"]["test"]
    assert recomputed["pixel_accuracy"] == pytest.approx(reported["pixel_accuracy"], abs=1e-6)
    assert recomputed["mean_iou"] == pytest.approx(reported["mean_iou"], abs=1e-6)
    assert recomputed["iou"] == pytest.approx(list(reported["iou"].values()), abs=1e-6)


def test_nothing_changed_nothing_reruns(deconvflow, journey):
    before = _versions(journey)
    done = _run(deconvflow, journey)
    assert done.status == 0, done.stderr
    assert _reran(done) == set()
    assert done.document["status"] == "pushed"
    assert _versions(journey) == before


def test_one_changed_threshold_reruns_the_evaluation_only_and_a_missed_floor_is_not_pushed(
    deconvflow, journey
):
    before = _versions(journey)
    done = _run(deconvflow, journey, "--set", "evaluation.gates.floors.iou/box=1.0")
    assert done.status == 3, done.stderr
    assert done.document["status"] == "not blessed"
    assert "Evaluator" in _reran(done)
    assert not {"SegmentationExampleGen", "Transform", "Trainer"} & _reran(done)
    (failed,) = [gate for gate in done.document["gates"] if not gate["passed"]]
    assert failed["metric"] == "iou/box"
    assert _versions(journey) == before


def test_a_worse_model_is_not_pushed(deconvflow, journey):
    before = _versions(journey)
    done = _run(
        deconvflow, journey,
        "--set", "trainer.epochs=1", "--set", "trainer.learning_rate=1e-6",
        "--set", "evaluation.gates.floors.mean_iou=0.0",
    )  # fmt: skip
    assert done.status == 3, done.stderr
    assert not {"SegmentationExampleGen", "Transform"} & _reran(done)
    assert {"Trainer", "Evaluator"} <= _reran(done)
    (failed,) = [gate for gate in done.document["gates"] if not gate["passed"]]
    assert failed["kind"] == "max_drop"
    assert _versions(journey) == before


def test_one_changed_mask_byte_retrains_and_pushes_the_next_version(deconvflow, journey):
    path = journey[1] / "masks" / "train" / "scene_000.png"
    mask = np.array(Image.open(path))
    mask[20, 0] = 255
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG")
    path.write_bytes(buffer.getvalue())
    done = _run(
        deconvflow, journey,
        # TFX gives the command line to absl as soon as Beam has arguments: `-v` must stay ours.
        "-v", "--beam=--direct_num_workers=1",
        "--set", "evaluation.gates.max_drop.mean_iou=0.5",
    )  # fmt: skip
    assert done.status == 0, done.stderr
    assert {
        "SegmentationExampleGen",
        "StatisticsGen",
        "Transform",
        "Trainer",
        "Evaluator",
        "Pusher",
    } <= _reran(done)
    assert Path(done.document["pushed_uri"]).name == "2"
    assert (journey[0] / "workspace/serving/boxes/1/saved_model.pb").exists()


def test_files_that_cannot_be_read_are_all_named_by_ingest(deconvflow, journey):
    before = _versions(journey)
    images = journey[1] / "images" / "train"
    good = (images / "scene_001.png").read_bytes()
    (images / "scene_001.png").write_bytes(good[:200])
    (images / "scene_002.png").write_text("this is text")
    done = _run(deconvflow, journey)
    assert done.status == 2, done.stderr
    assert done.document["status"] == "refused"
    assert done.states["SegmentationExampleGen"] == "failed"
    assert "Trainer" not in done.states
    for name in ("train/scene_001.png", "train/scene_002.png"):
        assert name in done.stderr
        assert any(name in sentence for sentence in done.document["problems"])
    assert "Traceback" not in done.stderr
    assert _versions(journey) == before


def test_with_a_bad_layout_too_everything_is_named_before_anything_starts(deconvflow, journey):
    (journey[1] / "images" / "train" / "lonely.png").write_bytes(b"whatever")
    (journey[1] / "images" / "test" / "scene_000.png").unlink()
    done = _run(deconvflow, journey)
    assert done.status == 2, done.stderr
    assert "components" not in done.document
    for name in ("train/lonely.png", "test/scene_000.png", "train/scene_001.png", "train/scene_002.png"):
        assert name in done.stderr
    assert "Traceback" not in done.stderr


def test_runs_lists_them_all(deconvflow, journey):
    document = deconvflow("runs", "-w", journey[0] / "workspace", "--json").document
    assert [run["status"] for run in document["runs"]] == [
        "pushed", "pushed", "not blessed", "not blessed", "pushed", "refused",
    ]  # fmt: skip
    table = deconvflow("runs", "-w", journey[0] / "workspace").stdout
    assert all(run["run_id"] in table for run in document["runs"])
