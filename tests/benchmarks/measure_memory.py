"""Whether peak memory stays flat as a data set grows: ingest, Transform and evaluation at two sizes.

Each runs in a process of its own (``memory_probe.py``). This process imports nothing large: on Linux a new
program's peak begins with that of the process that started it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from harness import Job, Row, note, run_measurement
from PIL import Image

STEPS = {"ingest": "ingest", "transform": "Transform", "evaluate": "evaluation"}
SIDE_PX = 128
_TARGET = 1.1
_DISTINCT = 50


def measure(job: Job) -> list[Row]:
    """Runs every step at both sizes."""
    few, many = (20, 40) if job.quick else (500, 5_000)
    steps = {"ingest": STEPS["ingest"]} if job.quick else STEPS
    peaks: dict[tuple[str, int], int] = {}
    for count in (few, many):
        folder = job.scratch / "memory" / str(count)
        written_mb = write_images(folder / "data", count) / 1e6
        for step, name in steps.items():
            note(f"{name} of {count:,} images")
            peaks[step, count] = _probe(step, folder)
    rows = []
    for step, name in steps.items():
        small, large = peaks[step, few] / 1e6, peaks[step, many] / 1e6
        about = (
            f"{many:,} images ({written_mb:.0f} MB of files, {3 * SIDE_PX**2 * many / 1e6:.0f} MB of pixels)"
        )
        about += f"; the limit is {few:,} images"
        ratio = large / small
        rows.append(
            Row(
                f"peak memory, {name}",
                "MB",
                large,
                small,
                ratio,
                f"<= {_TARGET:g}",
                ratio <= _TARGET,
                peaks[step, many],
                about,
            )
        )
    return rows


def write_images(root: Path, count: int) -> int:
    """Writes a data set of noise: the training images are links to a few, the others are their own.

    Returns:
        The bytes that ingest will read of images.
    """
    total = 0
    for split, images in (("train", count), ("val", 2), ("test", 2)):
        for index in range(images):
            for kind in ("images", "masks"):
                path = root / kind / split / f"scene_{index:05d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                first = path.with_name(f"scene_{index % _DISTINCT:05d}.png")
                if first == path:
                    _write_noise(path, index, split)
                else:
                    path.hardlink_to(first)
                total += path.stat().st_size if kind == "images" else 0
    return total


def _write_noise(path: Path, index: int, split: str) -> None:
    random = np.random.default_rng([index, len(split)])
    is_mask = "masks" in path.parts
    shape = (SIDE_PX // 16, SIDE_PX // 16) if is_mask else (SIDE_PX, SIDE_PX, 3)
    pixels = random.integers(0, 3 if is_mask else 256, shape, dtype=np.uint8)
    if is_mask:
        pixels = np.kron(pixels, np.ones((16, 16), np.uint8))
    Image.fromarray(pixels).save(path, compress_level=1)


def _probe(step: str, folder: Path) -> int:
    """Runs a step in a new process and returns its peak memory in bytes."""
    output = folder / f"{step}.json"
    program = Path(__file__).with_name("memory_probe.py")
    environment = {**os.environ, "DECONVFLOW_STEP": step}
    arguments = [sys.executable, program, "--scratch", folder, "--output", output]
    done = subprocess.run([str(argument) for argument in arguments], env=environment)
    done.check_returncode()
    return int(json.loads(output.read_text())[0]["peak_memory_bytes"])


if __name__ == "__main__":
    run_measurement(measure)
