"""One stage of the pipeline on one data set, in a process of its own: the component's executor as in a run.

    scale_stage.py STAGE FOLDER OUTPUT

``FOLDER/data`` is the data set, and the earlier stages have left what they made in FOLDER. Imports come
before the clock starts. ``model`` is no stage: it exports the network that ``evaluation`` judges.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent / "benchmarks")]

from dag_nodes import DagNodes, open_examples  # noqa: E402
from make_scenes import CLASSES  # noqa: E402
from prepare import export_random_model  # noqa: E402

from data.take_snapshot import fingerprint_dataset  # noqa: E402
from pipeline.config import PipelineConfig, load_config  # noqa: E402

SPLITS = ("train", "val")
_WRITING = ("ingest", "transform")
_CONFIG = """
name: scale
data:
  root: {root}
  classes:
{classes}
transform: {{height_px: 64, width_px: 64}}
trainer:
  model: {{head: fcn8s, width: 8}}
evaluation:
  splits: [train, val]
  gate_split: val
  gates: {{floors: {{mean_iou: 0.0}}}}
"""


def main(stage: str, folder: Path, output: Path) -> None:
    """Runs the stage and writes its wall and CPU seconds, its peak memory, and the files that it made."""
    config = _write_config(folder)
    work = prepare_stage(stage, config, folder)
    started, cpu_started = time.perf_counter(), _cpu_seconds()
    made = work()
    seconds, cpu_seconds = time.perf_counter() - started, _cpu_seconds() - cpu_started
    sizes = [file.stat().st_size for file in Path(made.uri).glob("Split-*/*")] if made else []
    document = {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "peak_bytes": _peak_bytes(),
        "files": len(sizes) if stage in _WRITING else 0,
        "largest_bytes": max(sizes, default=0),
    }
    output.write_text(json.dumps(document))


def prepare_stage(stage: str, config: PipelineConfig, folder: Path) -> Callable[[], Any]:
    """Returns what the clock is to run: it gives the artifact that the stage makes."""
    nodes = DagNodes(config, folder / "workspace")
    target = folder / stage
    if stage == "ingest":
        # The snapshot is a component before this one.
        fingerprint = fingerprint_dataset(config.data)
        return lambda: nodes.ingest(target, fingerprint)
    examples = open_examples(folder / "ingest/examples", SPLITS)
    if stage == "statistics":
        return lambda: nodes.describe(examples, target)
    if stage == "transform":
        return lambda: nodes.transform(examples, target)
    if stage == "model":
        # Any weights do: what a network predicts makes no difference to how fast it does.
        pattern = str(folder / "transform/transformed_examples/Split-val/*")
        return lambda: export_random_model(config, pattern, folder / "model")
    return lambda: nodes.evaluate(examples, folder / "model", target)


def _write_config(folder: Path) -> PipelineConfig:
    path = folder / "config.yaml"
    classes = "\n".join(f"    - {{id: {number}, name: {name}}}" for number, name in enumerate(CLASSES))
    path.write_text(_CONFIG.format(root=folder / "data", classes=classes))
    return load_config(path)


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _peak_bytes() -> int:
    """Returns the largest resident size of this program; getrusage's begins with that of its parent."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no VmHWM")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
