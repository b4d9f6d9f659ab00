"""Real data as a user brings it: init, check, and a run of what init wrote, shortened by --set alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.journey, pytest.mark.timeout(1200)]


def test_init_then_check_then_run_without_an_edit(deconvflow, camvid, tmp_path):
    config = tmp_path / "camvid.yaml"
    made = deconvflow("init", camvid, "-o", config)
    assert made.status == 0, made.stderr
    assert "367 train, 101 val" in made.stdout

    checked = deconvflow("check", "--config", config, "--json")
    assert checked.status == 0, checked.stderr
    assert checked.document["problems"] == []

    done = deconvflow(
        "run", "--config", config, "--workspace", tmp_path / "workspace", "--json",
        "--set", "trainer.epochs=1", "--set", "evaluation.gates.floors.mean_iou=0.05",
    )  # fmt: skip
    assert done.status == 0, done.stderr
    metrics = done.document["metrics"]["val"]
    assert len(metrics["iou"]) == 11
    # Even the shortest training tells road and sky from the rest.
    assert metrics["iou"]["Road"] > 0.4
    assert metrics["iou"]["Sky"] > 0.4
    manifest = json.loads((Path(done.document["pushed_uri"]) / "manifest.json").read_text())
    assert [entry["name"] for entry in manifest["classes"]][:3] == ["Sky", "Building", "Pole"]
