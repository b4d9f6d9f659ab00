"""The Trainer's step and two workers for real: an operator that runs the pods' command on this machine."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from pipeline.cluster import train_on_job
from pipeline.cluster.worker_pod import build_worker_pod

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.long("starts two workers")]
TRAINER_TESTS = Path(__file__).parents[3] / "trainer"
REPOSITORY = Path(__file__).parents[4]
LABEL = "training.kubeflow.org/job-name"


def load(name: str) -> ModuleType:
    """Returns a module of tests/trainer, which is no package."""
    spec = importlib.util.spec_from_file_location(f"trainer_tests_{name}", TRAINER_TESTS / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class Operator:
    """Runs the workers of a TFJob as Training Operator does with restartPolicy ExitCode."""

    def __init__(self, api, ports, logs: Path) -> None:
        self.api, self.ports, self.logs = api, ports, logs
        self.processes: list[subprocess.Popen] = []
        self.starts = [0] * len(ports)
        self.is_over = threading.Event()

    def start(self, job: dict) -> None:
        worker = job["spec"]["tfReplicaSpecs"]["Worker"]
        assert worker["replicas"] == len(self.ports)
        (self.container,) = worker["template"]["spec"]["containers"]
        self.name = job["metadata"]["name"]
        self.processes = [self._start(index) for index in range(len(self.ports))]
        threading.Thread(target=self._watch, daemon=True).start()

    def _start(self, index: int) -> subprocess.Popen:
        self.starts[index] += 1
        hosts = [f"127.0.0.1:{port}" for port in self.ports]
        config = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
        program, *words = self.container["command"]
        assert program == "python"
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(REPOSITORY),
            "CUDA_VISIBLE_DEVICES": "",
            "TF_CONFIG": json.dumps(config),
        }
        with (self.logs / f"{index}.log").open("a") as log:
            return subprocess.Popen(
                [sys.executable, *words], env=environment, cwd=REPOSITORY, stdout=log, stderr=log
            )

    def _watch(self) -> None:
        while not self.is_over.wait(0.2):
            codes = [process.poll() for process in self.processes]
            statuses = [128 - code if code is not None and code < 0 else code for code in codes]
            self.api.pods = [self._describe(index, status) for index, status in enumerate(statuses)]
            if any(status is not None and 0 < status < 128 for status in statuses):
                self._hold("Failed", "TFJobFailed")
            elif all(status == 0 for status in statuses):
                self._hold("Succeeded", "TFJobSucceeded")
            else:
                self._hold("Running", "TFJobRunning")
            for index, status in enumerate(statuses):
                if status is not None and status >= 128:
                    self.processes[index] = self._start(index)

    def _hold(self, kind: str, reason: str) -> None:
        self.api.play = [{"conditions": [{"type": kind, "status": "True", "reason": reason}]}]

    def _describe(self, index: int, status: int | None) -> dict:
        state = (
            {"running": {}}
            if status is None
            else {"terminated": {"exitCode": status, "message": self._read(index)}}
        )
        return {
            "metadata": {"name": f"{self.name}-worker-{index}", "labels": {LABEL: self.name}},
            "status": {
                "phase": "Running" if status is None else "Failed",
                "containerStatuses": [{"state": state}],
            },
        }

    def _read(self, index: int) -> str:
        return (self.logs / f"{index}.log").read_text()[-2048:]

    def end(self) -> None:
        self.is_over.set()
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def operator(api, connect, tmp_path, monkeypatch) -> Iterator[Operator]:
    """An operator on the API; the step finds the latter."""

    monkeypatch.setattr(train_on_job, "connect", connect)
    monkeypatch.setenv("DECONVFLOW_RUN_ID", "run-7")
    monkeypatch.setenv("DECONVFLOW_NAMESPACE", "team")
    with load("worker_processes").reserve_ports(2) as ports:
        running = Operator(api, ports, tmp_path)

        def see(asked: str) -> None:
            if asked.startswith("POST"):
                running.start(next(iter(api.objects.values())))

        api.after = see
        yield running
        running.end()


@pytest.fixture
def step(tmp_path, kubeflow) -> SimpleNamespace:
    """The Trainer's step of a small training."""
    from trainer.config import ModelConfig, TrainerConfig

    conftest = load("conftest")
    sections = {
        "data": {"root": "unused", "classes": [{"id": index, "name": f"c{index}"} for index in range(3)]},
        "transform": {"height_px": 32, "width_px": 32},
        "augment": None,
        "trainer": TrainerConfig(
            batch_size=12, epochs=40, validate_every_epochs=20, model=ModelConfig(width=4, head="fcn32s")
        ).model_dump(mode="json"),
    }
    settings = {
        "pipeline": "boxes", "kind": "tfjob", "workers": 2, "namespace": None, "service_account": None,
        "pod": build_worker_pod(kubeflow()),
    }  # fmt: skip
    return SimpleNamespace(
        train_files=[conftest.write_split(tmp_path / "staged/train/examples.gz", 12, 0, 32, 32)],
        eval_files=[conftest.write_split(tmp_path / "staged/val/examples.gz", 5, 1, 32, 32)],
        serving_model_dir=str(tmp_path / "out/model/Format-Serving"),
        model_run_dir=str(tmp_path / "out/model_run"),
        hyperparameters=None,
        custom_config={
            "config": json.dumps(sections),
            "code_fingerprint": "abc",
            "checkpoint_root": str(tmp_path / "volume"),
            "training_job": json.dumps(settings),
        },
    )


def test_two_workers_train_one_is_killed_and_the_step_gets_the_model(operator, step, tmp_path) -> None:
    def kill_one() -> None:
        deadline = time.monotonic() + 900
        while not list(tmp_path.glob("volume/jobs/*/logs/history.jsonl")) and time.monotonic() < deadline:
            time.sleep(0.05)
        operator.processes[1].kill()

    threading.Thread(target=kill_one, daemon=True).start()
    train_on_job.run_fn(step)
    assert operator.starts[1] >= 2
    import tensorflow as tf

    model = tf.saved_model.load(step.serving_model_dir)
    answer = model.signatures["image_tensor"](tf.zeros([1, 40, 40, 3], tf.uint8))
    assert answer["class_ids"].shape == (1, 40, 40)
    summary = json.loads((Path(step.model_run_dir) / "training.json").read_text())
    assert summary["devices"] == ["worker-0/CPU:0", "worker-1/CPU:0"] and summary["epochs"] == 40
    assert operator.api.objects == {} and list((tmp_path / "volume/jobs").iterdir()) == []


def test_what_the_workers_refuse_the_step_refuses(operator, step) -> None:
    from data.errors import RefusedError

    custom = json.loads(step.custom_config["config"])
    # Three devices would do.
    custom["trainer"]["batch_size"] = 9
    step.custom_config["config"] = json.dumps(custom)
    with pytest.raises(RefusedError, match=r"refused by the worker boxes-\w+-worker-\d: .*batch_size"):
        train_on_job.run_fn(step)
