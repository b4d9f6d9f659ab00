"""The compiled pipeline, step by step as a cluster runs it: from files to a pushed model, and on.

The tests are parts of one journey and run in their order. The first one is in every `make test`; the runs
that follow it take minutes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from run_container import IS_ROOT, NOBODY, Runtime, WarmRuntime
from step_runner import Cluster, RunOutcome, run_pipeline

from pipeline import tracking
from pipeline.config import load_config
from pipeline.connect_store import connect, open_store
from pipeline.store_address import parse_address
from pipeline.workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.journey, pytest.mark.timeout(1800)]

SECRETS = {"AWS_ACCESS_KEY_ID": "AKIA-of-the-journey", "AWS_SECRET_ACCESS_KEY": "hush-hush-8d1f0c"}
ALWAYS = {"DatasetSnapshot", "DataGate", "BaselineModel", "Pusher", "RunReport"}


@dataclass
class Journey:
    site: Any
    config: Path
    compiled: Path
    cluster: Cluster
    runs: list[RunOutcome]

    def run(self, **parameters: Any) -> RunOutcome:
        self.runs.append(run_pipeline(self.cluster, self.compiled, parameters))
        return self.runs[-1]

    @property
    def store(self):
        return open_store(parse_address(self.site.store, "test"))

    @property
    def versions(self) -> list[str]:
        serving = self.site.folder("volume") / "serving" / "boxes"
        return sorted(path.name for path in serving.iterdir() if path.name.isdigit())


@pytest.fixture(scope="module")
def journey(site, make_boxes, write_config, compile_to):
    root = make_boxes(site.folder("volume") / "boxes")
    kubeflow = site.kubeflow()
    kubeflow["defaults"]["secrets"] = [{"name": "objects", "keys": {name: name for name in SECRETS}}]
    config = write_config(site.root / "boxes.yaml", root, kubeflow=kubeflow, metadata={"store": site.store})
    compiled = compile_to(config, site.root / "pipeline.yaml")
    runtime = WarmRuntime()
    yield Journey(site, config, compiled, Cluster(site.root / "cluster", runtime, {"objects": SECRETS}), [])
    runtime.close()


def test_the_compiled_pipeline_pushes_a_model(journey):
    run = journey.run()
    assert run.succeeded, run.logs[-8000:]
    assert set(run.states.values()) == {"succeeded"}
    assert len(run.states) == 13
    assert journey.versions == ["1"]
    manifest = json.loads((journey.site.folder("volume") / "serving/boxes/1/manifest.json").read_text())
    assert manifest["run_id"] == run.run_id
    assert "Traceback" not in run.logs


def test_the_run_is_recorded_as_a_local_one(journey):
    run = journey.runs[0]
    record = tracking.read_run(journey.store, run.run_id)
    assert (record.status, record.blessed, record.pushed_version) == ("pushed", True, 1)
    assert record.pipeline == "boxes"
    assert 0.5 <= record.metrics["test"]["mean_iou"] <= 1
    assert record.data_fingerprint
    assert record.code_fingerprint and record.environment_fingerprint
    assert record.configuration["trainer"]["epochs"] == 25
    assert record.report_uri is not None
    assert record.report_uri.startswith("minio://") and record.report_uri.endswith("/index.html")
    components = tracking.read_components(journey.store, run.run_id)
    assert {one.id: one.state for one in components} == dict.fromkeys(run.states, "complete")
    assert not [one.uri for one in journey.store.get_artifacts() if not one.uri.startswith("minio://")]


def test_a_local_run_stands_beside_it(journey, deconvflow, monkeypatch):
    """The beginning of a run at home; the whole of it is one of the long tests."""
    from tfx.orchestration.pipeline import Pipeline

    from components.dataset_snapshot import DatasetSnapshot
    from pipeline import execute_dag

    def only_snapshot(config, workspace):
        snapshot = DatasetSnapshot(data_config=config.data.model_dump_json())
        root = str(workspace.pipeline_root(config.name))
        return Pipeline(config.name, root, components=[snapshot], enable_cache=True)

    monkeypatch.setattr(execute_dag, "create_pipeline", only_snapshot)
    config, connection = load_config(journey.config), connect(parse_address(journey.site.store, "test"))
    execute_dag.register_run(config, connection, "at-home")
    execute_dag.execute(config, Workspace(journey.site.root / "home"), connection, "at-home")
    common = ("--workspace", journey.site.root / "home", "--store", journey.site.store, "--json")
    cluster = journey.runs[0].run_id
    listed = deconvflow("runs", *common).document["runs"]
    assert [run["run_id"] for run in listed] == [cluster, "at-home"]
    compared = deconvflow("compare", cluster, "at-home", *common)
    assert compared.status == 0, compared.stderr
    found = compared.document
    assert (found["configuration"], found["code"]["files"], found["environment"]["values"]) == ([], [], [])
    # The fingerprint is taken by the driver at home, and by Beam alone on the cluster.
    assert [one["same"] for one in found["data"]] == [True]


def test_the_report_names_artifacts_by_their_uris(journey):
    (page,) = (journey.site.root / "cluster" / "store").rglob("RunReport/*/report/index.html")
    text = page.read_text(encoding="utf-8")
    assert f"minio://mlpipeline/deconvflow/boxes/{journey.runs[0].run_id}/Trainer/" in text
    assert "/pods/" not in text


def test_no_secret_is_written_anywhere(journey):
    store_file = journey.site.folder("volume") / "metadata.sqlite"
    texts = {
        "the compiled pipeline": journey.compiled.read_bytes(),
        "the logs": journey.runs[0].logs.encode(),
        "the metadata store": store_file.read_bytes(),
    }
    objects = journey.site.root / "cluster" / "store"
    texts |= {str(path): path.read_bytes() for path in objects.rglob("*") if path.is_file()}
    for secret in SECRETS.values():
        assert not [where for where, content in texts.items() if secret.encode() in content]


def test_the_report_says_what_the_metadata_store_alone_knows(journey):
    (page,) = (journey.site.root / "cluster" / "store").rglob("RunReport/*/report/index.html")
    text = page.read_text(encoding="utf-8")
    record = tracking.read_run(journey.store, journey.runs[0].run_id)
    root = f"minio://mlpipeline/deconvflow/boxes/{record.run_id}"
    for node in ("Transform", "DatasetSnapshot"):  # Neither is an input that it shows.
        assert f"{root}/{node}/" in text
    data = journey.site.folder("volume") / "boxes"
    assert f"train: {data}/images/train/scene_003.png, mask {data}/masks/train/scene_003.png" in text
    assert record.code_fingerprint in text and record.environment_fingerprint in text
    assert "not there any more" not in text


@pytest.mark.skipif(not IS_ROOT, reason="only root may run containers as another user")
def test_steps_ran_as_nobody(journey):
    served = journey.site.folder("volume") / "serving/boxes/1/manifest.json"
    assert served.stat().st_uid == NOBODY


@pytest.mark.long
def test_an_unchanged_data_set_stops_early_by_the_cache(journey):
    run = journey.run()
    assert run.succeeded, run.logs[-8000:]
    assert {name for name, state in run.states.items() if state == "succeeded"} == ALWAYS
    assert journey.versions == ["1"]
    record = tracking.read_run(journey.store, run.run_id)
    assert record.status == "pushed"
    states = {one.id: one.state for one in tracking.read_components(journey.store, run.run_id)}
    expected = {"succeeded": "complete", "cached": "cached"}
    assert states == {name: expected[state] for name, state in run.states.items()}


@pytest.mark.long
def test_one_changed_mask_does_not(journey):
    path = journey.site.folder("volume") / "boxes/masks/train/scene_003.png"
    mask = np.asarray(Image.open(path)).copy()
    mask[30, 30] = 1 - mask[30, 30] % 2
    Image.fromarray(mask).save(path)
    run = journey.run()
    assert run.succeeded, run.logs[-8000:]
    assert {name for name, state in run.states.items() if state == "cached"} <= {"ImportSchemaGen"}


@pytest.mark.long
def test_a_worse_model_is_not_pushed(journey):
    before = journey.versions
    run = journey.run(trainer_epochs=1, trainer_learning_rate=1e-6)
    assert run.succeeded, run.logs[-8000:]
    assert journey.versions == before
    record = tracking.read_run(journey.store, run.run_id)
    assert (record.status, record.blessed, record.pushed_version) == ("not blessed", False, None)
    assert record.configuration["trainer"]["epochs"] == 1


@pytest.mark.long
def test_a_refusal_stops_the_run_in_sentences(journey):
    run = journey.run(trainer_batch_size=0)
    assert run.states["Trainer"] == "failed"
    assert run.states["Pusher"] == "skipped"
    log = run.tasks["Trainer"].log
    assert "trainer.batch_size" in log
    assert "Traceback" not in log
    record = tracking.read_run(journey.store, run.run_id)
    assert record.status == "refused"
    assert "trainer.batch_size" in (record.error or "")


@pytest.mark.long
def test_local_and_cluster_runs_stand_side_by_side(journey, deconvflow):
    workspace = journey.site.root / "workspace"
    common = ("--workspace", workspace, "--store", journey.site.store, "--json")
    done = deconvflow("run", "--config", journey.config, *common)
    assert done.status == 0, done.stderr
    local = done.document
    ours = journey.runs[2].run_id  # The last one that trained on the same masks by the same configuration.
    listed = deconvflow("runs", *common).document["runs"]
    assert {local["run_id"], ours} <= {run["run_id"] for run in listed}
    record = tracking.read_run(journey.store, ours)
    for split, metrics in local["metrics"].items():
        for name in ("pixel_accuracy", "mean_class_accuracy", "mean_iou", "frequency_weighted_iou"):
            assert record.metrics[split][name] == pytest.approx(metrics[name], abs=1e-6)
    compared = deconvflow("compare", ours, local["run_id"], *common)
    assert compared.status == 0, compared.stderr
    assert compared.document["configuration"] == []
    assert {row["data_fingerprint"] for row in compared.document["runs"]} == {record.data_fingerprint}
    assert {one["metric"] for one in compared.document["metrics"]} >= {"mean_iou", "iou/box"}


@pytest.mark.long
def test_the_same_in_containers_that_share_nothing(journey):
    cluster = Cluster(journey.site.root / "cold", Runtime(), {"objects": SECRETS})
    run = run_pipeline(cluster, journey.compiled)
    assert run.succeeded, run.logs[-8000:]
    record = tracking.read_run(journey.store, run.run_id)
    assert record.metrics == tracking.read_run(journey.store, journey.runs[2].run_id).metrics
