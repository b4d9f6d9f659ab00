"""Runs the whole pipeline on images of 24 megapixels, and holds that it stays below so much memory.

.venv/bin/python tests/faults/run_large_images.py [--count 40] [--width 6000] [--height 4000] [--limit-gb 8]

Twice: the images shrunk to a working size, and in sliding windows at their own size. Memory is that of all
processes of a command together. Either way the metrics must count every labelled pixel of the images' own
size, and the pushed model must predict a mask of that size.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from aerial_scenes import CLASSES, write_aerial_scenes
from PIL import Image
from small_runs import Run, hold, run_script, scratch_folder, start_command, start_run
from watch_memory import MemoryWatch, find_peaks

from pipeline.history.read_files import METRICS_FILE

NAME = "aerial"
_WINDOW_PX = 1024


@dataclass(frozen=True)
class Way:
    """How large images go through the network."""

    name: str
    evaluated: tuple[str, ...]
    settings: Mapping[str, Any]

    @property
    def arguments(self) -> list[str]:
        """For ``deconvflow run``."""
        values = {"evaluation.splits": list(self.evaluated), **self.settings}
        return [part for key, value in values.items() for part in ("--set", f"{key}={json.dumps(value)}")]


def list_ways(height_px: int, width_px: int) -> tuple[Way, ...]:
    """Returns both ways. Windows are smaller than the images, and take long: few images go through them."""
    windows = {
        "inference.window_height_px": min(_WINDOW_PX, height_px // 2),
        "inference.window_width_px": min(_WINDOW_PX, width_px // 2),
        "inference.window_overlap": 0.1,
        "smoke_test.images": 1,
    }
    return Way("working size", ("train", "val", "test"), {}), Way("windows", ("test",), windows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the images and runs on them; the status is 1 at the first thing that does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=40, help="images")
    parser.add_argument("--width", type=int, default=6000, help="of an image, in pixels")
    parser.add_argument("--height", type=int, default=4000, help="likewise")
    parser.add_argument("--limit-gb", type=float, default=8.0, help="of memory, a GB being 1e9 bytes")
    options = parser.parse_args(arguments)
    with scratch_folder() as folder:
        started = time.monotonic()
        labelled = write_aerial_scenes(folder / "data", options.count, options.height, options.width)
        size = f"{options.width}x{options.height}"
        _say(f"{options.count} images of {size} in {time.monotonic() - started:.0f} s")
        config = write_config(folder)
        for way in list_ways(options.height, options.width):
            run_one_way(config, way, labelled, options.limit_gb)
            predict_one(folder, (options.height, options.width), options.limit_gb, way.name)
    return 0


def write_config(folder: Path) -> Path:
    """Writes a configuration whose training is short; returns the YAML file."""
    tree = {
        "name": NAME,
        "data": {
            "root": str(folder / "data"),
            "classes": [{"id": number, "name": name} for number, name in enumerate(CLASSES)],
        },
        "transform": {"height_px": 512, "width_px": 768},
        "trainer": {"model": {"head": "fcn8s", "width": 8}, "batch_size": 4, "epochs": 2},
        "evaluation": {"gates": {"floors": {"mean_iou": 0.0}, "max_drop": {}}},
    }
    path = folder / "aerial.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


def run_one_way(config: Path, way: Way, labelled: Mapping[str, int], limit_gb: float) -> None:
    """Runs the pipeline; it must push, stay below the limit, and count every labelled pixel."""
    started = time.monotonic()
    run = start_run(config, config.parent / "workspace", *way.arguments)
    watch = _watch_until_end(run)
    for component, peak_bytes in find_peaks(watch.samples, run.log).items():
        _say(f"{way.name}, {component}: {peak_bytes / 1e9:.2f} GB")
    _hold_limit(way.name, watch, limit_gb, time.monotonic() - started)
    hold(run.document["status"] == "pushed", f"{way.name}: the run ended {run.document['status']}")
    counted = count_evaluated(run.workspace)
    expected = {split: labelled[split] for split in way.evaluated}
    hold(counted == expected, f"{way.name}: the evaluation counted {counted} pixels, and not {expected}")
    version = run.document["pushed_version"]
    _say(f"{way.name}: pushed as version {version}; {sum(counted.values()):,} pixels counted")


def count_evaluated(workspace: Path) -> dict[str, int]:
    """Returns how many pixels the newest evaluation counted in each split, by its confusion matrices."""
    found = (workspace / "pipelines" / NAME / "Evaluator" / "evaluation").glob(f"*/{METRICS_FILE}")
    newest = max(found, key=lambda path: int(path.parent.name))
    splits = json.loads(newest.read_text())["splits"]
    return {split: int(np.sum(one["confusion_matrix"])) for split, one in splits.items()}


def predict_one(folder: Path, size: tuple[int, int], limit_gb: float, name: str) -> None:
    """Predicts an image by the pushed model, whose mask must be of the image's size."""
    started = time.monotonic()
    image = min((folder / "data/images/test").iterdir())
    out = folder / f"masks of {name}"
    command = ("predict", "--model", NAME, str(image), "--out", str(out))
    watch = _watch_until_end(start_command(folder, folder / "workspace", *command))
    _hold_limit(f"{name}, predict", watch, limit_gb, time.monotonic() - started)
    with Image.open(out / f"{image.stem}.png") as mask:
        hold(mask.size == size[::-1] and mask.mode == "L", f"a mask is {mask.size} {mask.mode}")


def _watch_until_end(run: Run) -> MemoryWatch:
    with MemoryWatch(run.process.pid) as watch:
        run.finish()
    return watch


def _hold_limit(name: str, watch: MemoryWatch, limit_gb: float, seconds: float) -> None:
    peak_gb = watch.peak_bytes / 1e9
    _say(f"{name}: peak {peak_gb:.2f} GB of {limit_gb:g} in {seconds:.0f} s")
    hold(watch.samples, f"{name}: no memory was measured")
    hold(peak_gb < limit_gb, f"{name} took {peak_gb:.2f} GB of memory, and {limit_gb:g} were to be enough")


def _say(sentence: str) -> None:
    print(f"large: {sentence}", flush=True)


if __name__ == "__main__":
    run_script(main)
