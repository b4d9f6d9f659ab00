"""The Trainer's step with a job: what it lays down for the workers, and what it hands on of theirs."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from data.errors import RefusedError
from pipeline.cluster import train_on_job
from pipeline.cluster.job_api import Pace

JOBS = "/apis/kubeflow.org/v1/namespaces/team/tfjobs"
SUCCEEDED = {"conditions": [{"type": "Succeeded", "status": "True"}]}


@pytest.fixture
def step(tmp_path, kubeflow, monkeypatch):
    """A Trainer's step of the namespace team, as the entrypoint starts it."""
    for split in ("train", "val"):
        folder = tmp_path / f"staged/Split-{split}"
        folder.mkdir(parents=True)
        (folder / "transformed-00000-of-00001.gz").write_bytes(split.encode())
    from pipeline.cluster.worker_pod import build_worker_pod

    settings = {
        "pipeline": "Street Scenes", "kind": "tfjob", "workers": 2, "namespace": None,
        "service_account": None, "pod": build_worker_pod(kubeflow()),
    }  # fmt: skip
    monkeypatch.setenv("DECONVFLOW_RUN_ID", "run-7")
    monkeypatch.setenv("DECONVFLOW_NAMESPACE", "team")
    monkeypatch.setenv("DECONVFLOW_SERVICE_ACCOUNT", "pipeline-runner")
    monkeypatch.setattr(train_on_job, "Pace", lambda: Pace(0.001, 0.002, patience_seconds=5.0))
    return SimpleNamespace(
        train_files=[f"{tmp_path}/staged/Split-train/*"],
        eval_files=[f"{tmp_path}/staged/Split-val/*"],
        serving_model_dir=f"{tmp_path}/out/run-7/Trainer/model/Format-Serving",
        model_run_dir=f"{tmp_path}/out/run-7/Trainer/model_run",
        hyperparameters=None,
        custom_config={
            "config": "{}",
            "code_fingerprint": "abc",
            "checkpoint_root": f"{tmp_path}/volume/",
            "training_job": json.dumps(settings),
        },
    )


@pytest.fixture
def cluster(api, connect, monkeypatch):
    """The API, whose workers train at once."""

    def work(asked):
        if asked.startswith("POST"):
            (job,) = api.objects.values()
            (container,) = job["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]["containers"]
            api.arguments = json.loads(Path(container["command"][-1]).read_text())
            api.job = job
            model = Path(api.arguments["serving_model_dir"])
            (model / "variables").mkdir(parents=True)
            (model / "saved_model.pb").write_bytes(b"graph")
            (model / "variables/variables.index").write_bytes(b"weights")
            logs = Path(api.arguments["model_run_dir"])
            logs.mkdir()
            (logs / "history.jsonl").write_text("{}\n")

    monkeypatch.setattr(train_on_job, "connect", connect)
    api.after, api.play = work, [SUCCEEDED]
    return api


def test_workers_get_the_examples_and_the_step_their_model(cluster, step, tmp_path):
    train_on_job.run_fn(step)
    model = Path(step.serving_model_dir)
    assert (model / "saved_model.pb").read_bytes() == b"graph"
    assert (model / "variables/variables.index").read_bytes() == b"weights"
    assert (Path(step.model_run_dir) / "history.jsonl").read_text() == "{}\n"
    arguments = cluster.arguments
    # Checkpoints know records by their names.
    assert [Path(one).name for one in arguments["train_files"]] == ["transformed-00000-of-00001.gz"]
    assert arguments["train_files"] != arguments["eval_files"]
    assert arguments["custom_config"] == {
        "config": "{}", "code_fingerprint": "abc", "checkpoint_root": f"{tmp_path}/volume/",
    }  # fmt: skip
    # Nothing stays behind.
    assert cluster.objects == {} and list((tmp_path / "volume/jobs").iterdir()) == []


def test_the_job_belongs_to_the_steps_namespace_account_and_run(cluster, step):
    train_on_job.run_fn(step)
    metadata = cluster.job["metadata"]
    assert metadata["namespace"] == "team" and metadata["name"].startswith("street-scenes-")
    assert metadata["annotations"] == {"deconvflow/pipeline": "Street Scenes", "deconvflow/run-id": "run-7"}
    pod = cluster.job["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]
    assert pod["serviceAccountName"] == "pipeline-runner"


def test_workers_read_what_was_staged(cluster, step):
    from trainer.run_worker import WorkerArguments

    seen = []
    work = cluster.after

    def look(asked):
        work(asked)
        if asked.startswith("POST"):
            job = WorkerArguments(**cluster.arguments)
            seen.extend(Path(one).read_bytes() for one in (*job.train_files, *job.eval_files))

    cluster.after = look
    train_on_job.run_fn(step)
    assert seen == [b"train", b"val"]


def test_an_empty_validation_split_is_none(cluster, step, tmp_path):
    step.eval_files = [f"{tmp_path}/staged/Split-none/*"]
    train_on_job.run_fn(step)
    assert cluster.arguments["eval_files"] == []


def test_a_second_attempt_replaces_what_the_first_laid_down(cluster, step, tmp_path):
    name = train_on_job.name_job("Street Scenes", "run-7", step.serving_model_dir)
    stale = tmp_path / f"volume/jobs/{name}/examples/train/half.gz"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"half")
    train_on_job.run_fn(step)
    assert [Path(one).name for one in cluster.arguments["train_files"]] == ["transformed-00000-of-00001.gz"]


def test_names_are_found_again_and_fit_services():
    name = train_on_job.name_job("street-scenes", "run-7", "/minio/a/run-7/Trainer/1/model")
    assert name == train_on_job.name_job("street-scenes", "run-7", "/minio/a/run-7/Trainer/1/model")
    others = {
        train_on_job.name_job("street-scenes", "run-8", "/minio/a/run-7/Trainer/1/model"),
        train_on_job.name_job("street-scenes", "run-7", "/minio/a/run-7/Trainer/2/model"),
    }
    assert len(others | {name}) == 3
    for pipeline in ("3 Städte - und ein sehr langer Name dahinter", "A_b", "-", "x" * 80):
        named = train_on_job.name_job(pipeline, "r", "o")
        assert len(named) <= 35 and named[0].isalpha() and "--" not in named
        assert named.isascii() and named.replace("-", "").isalnum() and named == named.lower()


def test_a_step_that_does_not_know_its_namespace_is_refused(cluster, step, monkeypatch):
    monkeypatch.delenv("DECONVFLOW_NAMESPACE")
    with pytest.raises(RefusedError, match="DECONVFLOW_NAMESPACE is not set"):
        train_on_job.run_fn(step)


def test_without_a_cluster_the_step_is_refused(step, monkeypatch, tmp_path):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(RefusedError, match="needs Kubernetes' API, and there is none here"):
        train_on_job.run_fn(step)
