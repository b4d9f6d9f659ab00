"""Starts workers on loopback, each a process with its own TF_CONFIG, and never waits for them without an end.

Run as a program it is such a worker: ``trainer.run_worker`` that saves its state after every epoch. With
``FORKED_PORTS`` it is all of them, each a fork of one process that has imported TensorFlow and run nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

REPOSITORY = Path(__file__).parents[2]
LIMIT_SECONDS = 500
# Below the ports that Linux gives to outgoing connections by default (32768 and more).
PORTS = range(20_000, 32_000)


@dataclass
class Ended:
    """How a worker ended."""

    status: int
    stderr: str


@contextlib.contextmanager
def reserve_ports(count: int) -> Iterator[list[int]]:
    """Reserves free ports: others that reserve in this way get other ones, also in other processes."""
    folder = Path(tempfile.gettempdir(), f"deconvflow-test-ports-{os.getuid()}")
    folder.mkdir(exist_ok=True)
    with contextlib.ExitStack() as locks:
        ports: list[int] = []
        while len(ports) < count:
            port = random.choice(PORTS)
            lock = locks.enter_context((folder / str(port)).open("w"))
            with contextlib.suppress(OSError), socket.socket() as probe:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                probe.bind(("", port))
                ports.append(port)
        yield ports


def start_worker(job: Path, index: int, ports: list[int], **variables: str) -> subprocess.Popen[str]:
    """Starts one worker."""
    environment = _make_environment(TF_CONFIG=describe_workers(index, ports), **variables)
    command = [sys.executable, __file__, str(job)]
    with _log_file(job, index).open("w") as log:
        return subprocess.Popen(command, env=environment, cwd=REPOSITORY, stderr=log, stdout=log, text=True)


def describe_workers(index: int, ports: list[int]) -> str:
    """Returns the TF_CONFIG of a worker."""
    workers = [f"127.0.0.1:{port}" for port in ports]
    return json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}})


def _make_environment(**variables: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(REPOSITORY),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
        **variables,
    }


def _log_file(job: Path, index: int) -> Path:
    return job.with_name(f"{job.stem}-{index}.log")


def wait_for(processes: list[subprocess.Popen[str]], job: Path) -> list[Ended]:
    """Waits for all workers; kills them if it takes too long."""
    deadline = time.monotonic() + LIMIT_SECONDS
    try:
        for process in processes:
            process.wait(max(deadline - time.monotonic(), 0.1))
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return [Ended(one.returncode, _log_file(job, index).read_text()) for index, one in enumerate(processes)]


def run_workers(job: Path, count: int, **variables: str) -> list[Ended]:
    """Runs workers to their end; with other ports, should somebody else have taken one meanwhile."""
    for _ in range(3):
        with reserve_ports(count) as ports:
            processes = [start_worker(job, index, ports, **variables) for index in range(count)]
            ended = wait_for(processes, job)
        if not _lost_a_port(ended):
            break
    return ended


@dataclass
class Forks:
    """Workers that are forks of one process."""

    parent: subprocess.Popen[str]
    pids: list[int]
    jobs: list[Path]

    def wait(self) -> list[Ended]:
        """Waits for all of them; kills them if it takes too long."""
        try:
            answer, _ = self.parent.communicate(timeout=LIMIT_SECONDS)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.parent.pid, signal.SIGKILL)
        logs = [_log_file(job, index).read_text() for index, job in enumerate(self.jobs)]
        return [Ended(status, log) for status, log in zip(json.loads(answer), logs, strict=True)]


def start_forks(jobs: list[Path], ports: list[int]) -> Forks:
    """Starts a worker of ``build_tiny_model`` for each job; they export nothing."""
    environment = _make_environment(FORKED_PORTS=json.dumps(ports))
    command = [sys.executable, __file__, *map(str, jobs)]
    parent = subprocess.Popen(
        command, env=environment, cwd=REPOSITORY, stdout=subprocess.PIPE, start_new_session=True, text=True
    )
    assert parent.stdout
    return Forks(parent, json.loads(parent.stdout.readline()), jobs)


def fork_workers(*jobs: Path) -> list[Ended]:
    """Runs a worker of ``build_tiny_model`` for each job to their end; they export nothing."""
    for _ in range(3):
        with reserve_ports(len(jobs)) as ports:
            ended = start_forks(list(jobs), ports).wait()
        if not _lost_a_port(ended):
            break
    return ended


def _lost_a_port(ended: list[Ended]) -> bool:
    return any("is taken" in one.stderr or "Could not start gRPC" in one.stderr for one in ended)


def build_tiny_model(_: Any, num_classes: int, *__: Any, **___: Any) -> Any:
    """Builds what compiles in no time and has moments that come from all workers' images."""
    import keras

    from trainer.batch_normalization import SynchronizedBatchNormalization

    images = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 255)(images)
    x = keras.layers.Conv2D(8, 3, padding="same", use_bias=False)(x)
    x = keras.layers.ReLU()(SynchronizedBatchNormalization()(x))
    return keras.Model(images, keras.layers.Conv2D(num_classes, 3, padding="same")(x))


def _fork(job: Path, index: int, ports: list[int]) -> int:
    """Starts a worker as a fork of this process; returns its id."""
    if pid := os.fork():
        return pid
    log = os.open(_log_file(job, index), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ["TF_CONFIG"] = describe_workers(index, ports)
    _train(job)


def _train(job: Path) -> NoReturn:
    from trainer import run_worker

    status = run_worker.FAILED
    try:
        status = run_worker.main([str(job)])
    except Exception:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    from data.cpu_kernels import prefer_onednn

    prefer_onednn()
    from trainer import learner, pace, run_fn

    pace.SECONDS_BETWEEN_CHECKPOINTS, pace._SAVING_SHARE = 0.0, float("inf")
    if "FORKED_PORTS" not in os.environ:
        _train(Path(sys.argv[1]))
    learner.build_model, run_fn.export_model = build_tiny_model, lambda *_: None
    reserved = json.loads(os.environ["FORKED_PORTS"])
    children = [_fork(Path(job), index, reserved) for index, job in enumerate(sys.argv[1:])]
    print(json.dumps(children), flush=True)
    print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]))
