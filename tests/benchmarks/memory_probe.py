"""One component on one data set, for its peak memory. Which one is in the variable DECONVFLOW_STEP."""

from __future__ import annotations

import os
from pathlib import Path

from dag_nodes import DagNodes, open_examples
from harness import Job, Row, peak_memory_bytes, run_measurement
from prepare import SPLITS, export_random_model

from pipeline.config import PipelineConfig, load_config

_CONFIG = """
name: memory
data:
  root: {root}
  classes:
    - {{id: 0, name: ground}}
    - {{id: 1, name: road}}
    - {{id: 2, name: tree}}
transform: {{height_px: 64, width_px: 64}}
trainer:
  model: {{head: fcn8s, width: 8}}
evaluation:
  splits: [train]
  gate_split: train
  gates: {{floors: {{mean_iou: 0.0}}}}
"""


def measure(job: Job) -> list[Row]:
    """Runs the step in the folder of one size; earlier steps have left their artifacts there."""
    folder, step = job.scratch, os.environ["DECONVFLOW_STEP"]
    config = _write_config(folder)
    nodes = DagNodes(config, folder / "workspace")
    if step == "ingest":
        nodes.make_examples(folder / "ingest")
    else:
        examples = open_examples(folder / "ingest/examples", SPLITS)
        if step == "transform":
            nodes.transform(examples, folder / "transform")
        else:
            pattern = str(folder / "transform/transformed_examples/Split-train/*")
            export_random_model(config, pattern, folder / "model")
            nodes.evaluate(examples, folder / "model", folder / "evaluate")
    peak = peak_memory_bytes()
    return [Row(step, "MB", peak / 1e6, peak / 1e6, 1.0, "", None, peak)]


def _write_config(folder: Path) -> PipelineConfig:
    path = folder / "config.yaml"
    path.write_text(_CONFIG.format(root=folder / "data"))
    return load_config(path)


if __name__ == "__main__":
    run_measurement(measure)
