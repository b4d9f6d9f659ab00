"""Trains in processes that are killed at random moments and started again; prints what the last one came to.

Run by test_resume.py. Each attempt is a fork of this process, which has imported TensorFlow and run nothing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data.cpu_kernels import prefer_onednn

prefer_onednn()

import numpy as np  # noqa: E402
from tiny_network import build_tiny_model  # noqa: E402

from data.config import AugmentConfig, ClassConfig, DataConfig, TransformConfig  # noqa: E402
from trainer import learner, pace  # noqa: E402
from trainer import train as train_module  # noqa: E402
from trainer.config import TrainerConfig  # noqa: E402
from trainer.train import TrainingJob, train  # noqa: E402

LONGEST_PAUSE_SECONDS = 0.1


def make_job(records: Path, folder: Path, settings: dict[str, Any]) -> TrainingJob:
    """Makes the job of all attempts; as in TFX, each will have a log folder of its own."""
    return TrainingJob(
        data=DataConfig(root="unused", classes=tuple(ClassConfig(id=i, name=f"c{i}") for i in range(3))),
        transform=TransformConfig(height_px=32, width_px=32),
        # Of the long tests; batches follow from seed and step alone in either case.
        augment=AugmentConfig() if settings.pop("augment", False) else None,
        trainer=TrainerConfig(precision="float32", devices=1, **settings),
        train_patterns=(f"{records}/train/*",),
        val_patterns=(f"{records}/val/*",),
        checkpoint_dir=str(folder / "checkpoints"),
        log_dir=str(folder / "logs"),
    )


def attempt(job: TrainingJob, steps: int) -> None:
    """Trains, a step a call, and writes each step to a pipe; at the end, what came of it."""
    learner.build_model = build_tiny_model
    # As often as a step is done: a kill then comes upon a save, or between two.
    pace.SECONDS_BETWEEN_CHECKPOINTS, pace._SAVING_SHARE, pace._SECONDS_PER_CALL = 0.0, 1e9, 0.0
    take_steps = train_module._Loop._take_steps

    def tell(loop: Any, *arguments: Any) -> float:
        loss = take_steps(loop, *arguments)
        os.write(steps, f"{int(loop.learner.step)}\n".encode())
        return loss

    train_module._Loop._take_steps = tell
    result = train(dataclasses.replace(job, log_dir=f"{job.log_dir}_{os.getpid()}"))
    summary = {
        key: result.summary[key]
        for key in ("steps", "epochs", "stopped_by", "best_epoch", "best_val_mean_iou", "resumed_from_step")
    }
    timings = ("seconds", "images_per_second")
    history = [{key: value for key, value in entry.items() if key not in timings} for entry in result.history]
    digest = hashlib.sha256(b"".join(np.asarray(weight).tobytes() for weight in result.model.weights))
    answer = {"summary": summary, "history": history, "weights": digest.hexdigest()}
    path = Path(job.checkpoint_dir).parent / "answer.json"
    path.with_suffix(".tmp").write_text(json.dumps(answer))
    path.with_suffix(".tmp").replace(path)


def start(job: TrainingJob) -> tuple[int, int]:
    """Starts an attempt in a process of its own; returns its id and the pipe of its steps."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        status = 1
        try:
            os.close(reading)
            attempt(job, writing)
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    return process, reading


def train_with_kills(job: TrainingJob, rng: random.Random, kills: Sequence[int]) -> list[int]:
    """Trains to the end, killed after each of the steps and a pause; returns the steps of the kills."""
    killed = []
    for target in [*kills, None]:
        process, reading = start(job)
        with os.fdopen(reading) as steps:
            for line in steps:
                if target is not None and int(line) >= target:
                    time.sleep(rng.uniform(0, LONGEST_PAUSE_SECONDS))
                    os.kill(process, signal.SIGKILL)
                    killed.append(int(line))
                    break
        _, status = os.waitpid(process, 0)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0:
            raise SystemExit("an attempt failed")
    return killed


def main(records: str, folder: str, seed: int, kills: int, settings: str) -> None:
    """Trains once without kills and once with them; prints both answers."""
    rng = random.Random(seed)
    answers: dict[str, Any] = {}
    for name, count in (("whole", 0), ("killed", kills)):
        job = make_job(Path(records), Path(folder) / name, json.loads(settings))
        Path(folder, name).mkdir()
        last = answers["whole"]["summary"]["steps"] if answers else 1
        targets = sorted(rng.randrange(1, last) for _ in range(count))
        answers[f"{name}_at"] = train_with_kills(job, rng, targets)
        answers[name] = json.loads(Path(folder, name, "answer.json").read_text())
    print(json.dumps(answers))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
