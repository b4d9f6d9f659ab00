"""The embedded sample, as `deconvflow run` runs it and as a cluster does, a process a step."""

from __future__ import annotations

import json

import pytest
import yaml
from run_container import Runtime
from step_runner import Cluster, run_pipeline

from pipeline import tracking
from pipeline.config import preset_path
from pipeline.connect_store import open_store
from pipeline.store_address import parse_address

pytestmark = [
    pytest.mark.slow,
    pytest.mark.journey,
    pytest.mark.long,
    pytest.mark.timeout(3600),
]


def test_the_sample_comes_to_the_same_model(site, compile_to, deconvflow):
    tree = yaml.safe_load(preset_path("digits").read_text(encoding="utf-8"))
    config = site.root / "digits.yaml"
    config.write_text(yaml.safe_dump(tree | {"kubeflow": site.kubeflow(), "metadata": {"store": site.store}}))
    compiled = compile_to(config, site.root / "pipeline.yaml")
    run = run_pipeline(Cluster(site.root / "cluster", Runtime()), compiled)
    assert run.succeeded, run.logs[-8000:]
    record = tracking.read_run(open_store(parse_address(site.store, "test")), run.run_id)
    assert record.status == "pushed"
    done = deconvflow("run", "--config", config, "--workspace", site.root / "workspace", "--json")
    assert done.status == 0, done.stderr
    for split, metrics in done.document["metrics"].items():
        expected = {name: value for name, value in metrics.items() if name != "iou"}
        ours = {name: record.metrics[split][name] for name in expected}
        assert ours == pytest.approx(expected, abs=1e-6)
        assert record.metrics[split]["iou"] == pytest.approx(metrics["iou"], abs=1e-6)
    manifest = json.loads((site.folder("volume") / "serving/digits/1/manifest.json").read_text())
    assert manifest["data_fingerprint"] == done.document["data_fingerprint"]
