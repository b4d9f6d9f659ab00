"""The training loop against PyTorch's: same network, batch and crop, in float32 and in bfloat16.

Ours trains in what ``trainer.precision`` becomes on this machine: where the CPU has no bfloat16, in float32,
and PyTorch's autocast is held against that.

PyTorch lives in an environment of its own (``make torch``) and answers from a process of its own. Without
it there is nothing to measure, and no row.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from harness import Job, Row, alternate, compare_at_least, note, run_measurement, time_call

from data.read_transformed import DatasetStatistics
from trainer.config import ModelConfig, Precision, TrainerConfig
from trainer.distribution import make_strategy
from trainer.learner import make_learner, make_train_function
from trainer.precision import PrecisionChoice, choose_precision, read_cpu_flags

REPOSITORY = Path(__file__).resolve().parents[2]
PYTHON = Path(os.environ.get("TORCH_VENV", REPOSITORY / ".venv-torch")) / "bin/python"
# What `init` proposes for CamVid.
_NUM_CLASSES, _IGNORE_ID, _HEIGHT_PX, _WIDTH_PX = 11, 255, 184, 240
_TARGET: dict[Precision, float] = {"mixed_bfloat16": 1.2, "float32": 1.0}


class _Torch:
    """PyTorch's process: trains when told to."""

    def __init__(self, config: TrainerConfig, steps: int, precision: str) -> None:
        job = {
            **config.model.model_dump(include={"width", "head", "dropout"}),
            **config.model_dump(include={"batch_size", "learning_rate", "weight_decay"}),
            **{"num_classes": _NUM_CLASSES, "ignore_id": _IGNORE_ID, "clip_norm": config.gradient_clip_norm},
            **{"height": _HEIGHT_PX, "width_px": _WIDTH_PX, "steps": steps, "precision": precision},
        }
        program = Path(__file__).parent / "pytorch/time_steps.py"
        self._process = subprocess.Popen(
            [str(PYTHON), str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.parameters = int(self._ask(json.dumps(job)))

    def rate(self) -> float:
        """Returns images per second over so many steps."""
        return float(self._ask("go"))

    def close(self) -> None:
        """Ends the process."""
        self._process.communicate()

    def _ask(self, line: str) -> str:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"PyTorch's process ended with status {self._process.wait()}")
        return answer


class _Ours:
    """Our loop under MirroredStrategy on one device, on one fixed batch."""

    def __init__(self, config: TrainerConfig, steps: int, choice: PrecisionChoice) -> None:
        ones = np.ones(_NUM_CLASSES)
        mean, std = np.full(3, 110.0), np.full(3, 60.0)
        statistics = DatasetStatistics(mean, std, ones, ones, 367)
        self._images = steps * config.batch_size
        self.learner = make_learner(config, _NUM_CLASSES, statistics, make_strategy(1), choice)
        self._function = make_train_function(self.learner, config, statistics, _IGNORE_ID, 1_000_000)
        self._iterator, self._count = iter(make_batches(config.batch_size)), tf.constant(steps)

    def rate(self) -> float:
        """Returns images per second over so many steps."""
        return self._images / time_call(lambda: self._function(self._iterator, self._count).numpy())


def make_batches(batch_size: int) -> Any:
    """Returns one batch of noise without end."""
    random = np.random.default_rng(0)
    sides = (batch_size, _HEIGHT_PX, _WIDTH_PX)
    images = random.uniform(0, 255, (*sides, 3)).astype(np.float32)
    masks = random.integers(0, _NUM_CLASSES, sides).astype(np.uint8)
    return tf.data.Dataset.from_tensors({"image": images, "mask": masks}).repeat()


def measure(job: Job) -> list[Row]:
    """Measures both precisions."""
    if not PYTHON.exists():
        note("no PyTorch here; `make torch` brings it")
        return []
    config = TrainerConfig(model=ModelConfig(), batch_size=8)
    rows = []
    for precision, target in _TARGET.items():
        steps = 1 if job.quick else 10 if precision == "float32" else 4
        choice = choose_precision(precision, [], read_cpu_flags())
        ours, torch = _Ours(config, steps, choice), _Torch(config, steps, precision)
        trainable = sum(int(np.prod(w.shape)) for w in ours.learner.model.trainable_weights)
        if trainable != torch.parameters:
            raise RuntimeError(f"not the same network: {trainable} weights and {torch.parameters}")
        name = f"PyTorch, {precision.removeprefix('mixed_')}"
        if choice.policy != precision:
            name += f" (ours {choice.policy})"
        rates = alternate(ours.rate, torch.rate, job.pairs, name)
        torch.close()
        about = f"{config.model.head}, batch 8 of {_HEIGHT_PX}x{_WIDTH_PX}; PyTorch with channels_last"
        rows.append(compare_at_least(name, "images/s", rates, target, about))
    return rows


if __name__ == "__main__":
    run_measurement(measure)
