"""The whole pipeline on the sample, as the command line runs it, against the sum of the bare work."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness import Job, Row, note, peak_memory_bytes, run_measurement, time_call

REPOSITORY = Path(__file__).resolve().parents[2]
_FACTOR, _ALLOWANCE_SECONDS = 1.5, 60.0
_QUICK = ("trainer.epochs=1", "evaluation.gates={floors: {mean_iou: 0.0}}")


def measure(job: Job) -> list[Row]:
    """Runs the pipeline once, and the bare work before and after it."""
    # This process is still small: the command's peak memory begins with it.
    note("the pipeline")
    document, seconds = _run_pipeline(job)
    peak = peak_memory_bytes(resource.RUSAGE_CHILDREN)
    bare = _measure_bare_work(job, document)
    total = sum(bare.values())
    bound = _FACTOR * total + _ALLOWANCE_SECONDS
    row = Row(
        "whole pipeline",
        "s",
        seconds,
        total,
        seconds / total,
        f"<= {_FACTOR:g} x + {_ALLOWANCE_SECONDS:g} s = {bound:.0f} s",
        seconds <= bound,
        peak,
        f"bare: {_list_seconds(bare)}; components: {_list_seconds(_component_seconds(document))}",
    )
    return [row]


def _run_pipeline(job: Job) -> tuple[dict[str, Any], float]:
    """Returns the document of ``run --json`` and the command's seconds, imports and all."""
    command = [sys.executable, "-m", "pipeline", "run", "--json", "-w", str(job.scratch / "workspace")]
    for override in _QUICK if job.quick else ():
        command += ["--set", override]
    started = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, env=os.environ)
    seconds = time.perf_counter() - started
    if done.returncode not in (0, 3):
        raise SystemExit(f"the pipeline ended with status {done.returncode}")
    return json.loads(done.stdout), seconds


def _component_seconds(document: Mapping[str, Any]) -> dict[str, float]:
    return {component["id"]: component["seconds"] for component in document["components"]}


def _list_seconds(seconds: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())


def _measure_bare_work(job: Job, document: Mapping[str, Any]) -> dict[str, float]:
    """Returns the seconds of each part; the median of three but for training."""
    import bare_work
    import tensorflow as tf

    from data.list_dataset import list_dataset
    from pipeline.config import load_config, preset_path, with_data_root

    workspace = job.scratch / "workspace"
    config = with_data_root(load_config(preset_path("digits")), str(workspace / "samples/digits"))
    num_classes, ignore_id = len(config.data.classes), config.data.ignore_id
    pairs = list_dataset(config.data).pairs
    files = {
        s: [(p.image_path, p.mask_path) for p in pairs if p.split == s] for s in ("train", "val", "test")
    }
    size = config.transform.height_px, config.transform.width_px
    served = tf.saved_model.load(_find_model(workspace)).signatures["serving_default"]
    records = tf.data.TFRecordDataset(_find_records(workspace))
    every = [pair for split in files.values() for pair in split]
    parts: dict[str, Callable[[], object]] = {
        "ingest": lambda: bare_work.ingest(every, job.scratch / "bare"),
        "resize": lambda: bare_work.transform(files["train"] + files["val"], *size),
        "evaluate": lambda: bare_work.evaluate(served, records, num_classes, ignore_id),
    }
    bare = {}
    for name, work in parts.items():
        note(f"bare {name}")
        bare[name] = statistics.median(time_call(work) for _ in range(job.pairs))
    images, masks = bare_work.transform(files["train"], *size)
    steps = _find_steps(workspace)
    note("bare training")
    bare["train"] = _time_training(config, images, masks, steps, 4 if job.quick else 300)
    return bare


def _time_training(config: Any, images: Any, masks: Any, steps: int, measured_steps: int) -> float:
    """Returns the seconds of so many steps of ``Model.fit``, from a share of them and the compilation."""
    import bare_work
    import tensorflow as tf

    trainer = config.trainer
    model = bare_work.compile_keras(trainer, len(config.data.classes), config.data.ignore_id)
    dataset = tf.data.Dataset.from_tensor_slices((images, masks)).shuffle(len(images)).repeat()
    batches = dataset.batch(trainer.batch_size).prefetch(2)

    compiling = time_call(lambda: model.fit(batches, steps_per_epoch=1, epochs=1, verbose=0))
    return compiling + (steps - 1) * bare_work.time_fit(model, batches, measured_steps) / measured_steps


def _find_model(workspace: Path) -> str:
    return str(_artifact(workspace, "Trainer/model") / "Format-Serving")


def _find_steps(workspace: Path) -> int:
    return int(json.loads((_artifact(workspace, "Trainer/model_run") / "training.json").read_text())["steps"])


def _find_records(workspace: Path) -> list[str]:
    examples = _artifact(workspace, "SegmentationExampleGen/examples")
    return [
        str(path) for split in ("val", "test") for path in sorted((examples / f"Split-{split}").iterdir())
    ]


def _artifact(workspace: Path, output: str) -> Path:
    """Returns the only version of an output: the workspace is new."""
    (folder,) = (workspace / "pipelines/digits" / output).iterdir()
    return folder


if __name__ == "__main__":
    run_measurement(measure)
