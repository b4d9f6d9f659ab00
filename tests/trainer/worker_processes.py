"""Starts workers on loopback, each a process with its own TF_CONFIG, and never waits for them without an end.

Run as a program it is such a worker: ``trainer.run_worker`` that saves its state after every epoch.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
LIMIT_SECONDS = 240
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
    """Starts one worker; ``WITHOUT_EXPORT`` among its environment variables lets it write no model."""
    workers = [f"127.0.0.1:{port}" for port in ports]
    config = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(REPOSITORY),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
        "TF_CONFIG": json.dumps(config),
        **variables,
    }
    command = [sys.executable, __file__, str(job)]
    with job.with_name(f"{job.stem}-{index}.log").open("w") as log:
        return subprocess.Popen(command, env=environment, cwd=REPOSITORY, stderr=log, stdout=log, text=True)


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
    logs = [job.with_name(f"{job.stem}-{index}.log").read_text() for index in range(len(processes))]
    return [Ended(process.returncode, log) for process, log in zip(processes, logs, strict=True)]


def run_workers(job: Path, count: int, **variables: str) -> list[Ended]:
    """Runs workers to their end; with other ports, should somebody else have taken one meanwhile."""
    for _ in range(3):
        with reserve_ports(count) as ports:
            processes = [start_worker(job, index, ports, **variables) for index in range(count)]
            ended = wait_for(processes, job)
        if not any("is taken" in one.stderr or "Could not start gRPC" in one.stderr for one in ended):
            break
    return ended


if __name__ == "__main__":
    from trainer import pace, run_fn, run_worker

    if os.environ.get("WITHOUT_EXPORT"):
        run_fn.export_model = lambda *_: None
    pace.SECONDS_BETWEEN_CHECKPOINTS, pace._SAVING_SHARE = 0.0, float("inf")
    status = run_worker.main()
    sys.stderr.flush()
    os._exit(status)
