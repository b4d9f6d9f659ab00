"""A small data set and the command line as a user calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Finished:
    """A command that ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        return dict(json.loads(self.stdout))

    @property
    def states(self) -> dict[str, str]:
        """State by component of a ``run --json``."""
        return {component["id"]: component["state"] for component in self.document["components"]}


@pytest.fixture(scope="session")
def deconvflow() -> Callable[..., Finished]:
    """Calls the command line in a process of its own."""

    def call(*arguments: str | Path, cwd: Path | None = None) -> Finished:
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPATH"] = str(REPOSITORY)
        done = subprocess.run(
            [sys.executable, "-m", "pipeline", *map(str, arguments)],
            capture_output=True, text=True, env=environment, cwd=cwd or REPOSITORY,
        )  # fmt: skip
        return Finished(done.returncode, done.stdout, done.stderr)

    return call


def write_scene(folder: Path, split: str, index: int) -> None:
    """Writes a dark 40x56 image with one bright box, and its mask, drawn from the index alone."""
    random = np.random.default_rng([index, len(split)])
    image = random.integers(0, 80, (40, 56, 3), dtype=np.uint8)
    mask = np.zeros((40, 56), np.uint8)
    top, left = random.integers(2, 16), random.integers(2, 28)
    box = np.s_[top : top + 20, left : left + 24]
    image[box] = random.integers(170, 255, (20, 24, 3), dtype=np.uint8)
    mask[box] = 1
    mask[:2] = 255
    for kind, pixels in (("images", image), ("masks", mask)):
        path = folder / kind / split / f"scene_{index:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


@pytest.fixture(scope="session")
def make_boxes() -> Callable[[Path], Path]:
    """Writes a data set of boxes: 32 train, 6 val and 8 test images."""

    def make(folder: Path) -> Path:
        for split, count in (("train", 32), ("val", 6), ("test", 8)):
            for index in range(count):
                write_scene(folder, split, index)
        return folder

    return make


@pytest.fixture(scope="session")
def write_config() -> Callable[..., Path]:
    """Writes a configuration for the boxes that trains in seconds."""

    def write(path: Path, root: Path, **sections: Any) -> Path:
        tree = {
            "name": "boxes",
            "data": {
                "root": str(root),
                "classes": [{"id": 0, "name": "background"}, {"id": 1, "name": "box"}],
            },
            "transform": {"height_px": 40, "width_px": 56},
            "augment": {"scale_min": 1.0, "scale_max": 1.0, "rotation_degrees": 0.0},
            "trainer": {
                "model": {"head": "fcn8s", "width": 8, "dropout": 0.0},
                "batch_size": 8,
                "epochs": 25,
                "learning_rate": 0.01,
            },
            "evaluation": {"gates": {"floors": {"mean_iou": 0.5}}},
            "smoke_test": {"images": 3},
        }
        for name, section in sections.items():
            tree[name] = section
        path.write_text(yaml.safe_dump(tree))
        return path

    return write
