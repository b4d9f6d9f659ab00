"""Writes what the measurements work on: the sample, its examples, transformed examples, and a model.

The model has random weights: what it predicts makes no difference to how fast it does.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from harness import Job, Row, note, run_measurement

from pipeline.config import PipelineConfig, load_config, preset_path, with_data_root

SPLITS = ("train", "val", "test")
_QUICK_COUNTS = {"train": 48, "val": 16, "test": 16}


def digits_config(job: Job) -> PipelineConfig:
    """Returns the configuration of the embedded sample, with its files where ``prepare`` writes them."""
    return with_data_root(load_config(preset_path("digits"), []), str(job.scratch / "digits"))


def example_files(job: Job, splits: Iterable[str] = SPLITS) -> list[str]:
    """Returns the TFRecord files of raw examples."""
    return [
        str(file) for split in splits for file in sorted((examples_folder(job) / f"Split-{split}").iterdir())
    ]


def examples_folder(job: Job) -> Path:
    """Returns the folder of the artifact of raw examples."""
    return job.scratch / "prepared/ingest/examples"


def transformed_pattern(job: Job, split: str) -> str:
    """Returns the pattern of a split's transformed examples."""
    return str(job.scratch / f"prepared/transform/transformed_examples/Split-{split}/*")


def model_folder(job: Job) -> Path:
    """Returns the folder of the model artifact."""
    return job.scratch / "prepared/model"


def prepare(job: Job) -> list[Row]:
    """Writes everything; measures nothing."""
    from dag_nodes import DagNodes

    from data.digits.write_sample import write_digits_sample

    note("writing the sample")
    write_digits_sample(job.scratch / "digits", **(_QUICK_COUNTS if job.quick else {}))
    config = digits_config(job)
    nodes = DagNodes(config, job.scratch / "prepared/workspace")
    note("ingest")
    examples = nodes.make_examples(job.scratch / "prepared/ingest")
    note("Transform")
    nodes.transform(examples, job.scratch / "prepared/transform")
    note("exporting a model")
    export_random_model(config, transformed_pattern(job, "train"), model_folder(job))
    return []


def export_random_model(config: PipelineConfig, pattern: str, folder: Path) -> None:
    """Exports a network with random weights as the model artifact in ``folder``."""
    from data.read_transformed import read_statistics
    from trainer.build_model import build_model
    from trainer.export import export_model

    statistics = read_statistics([pattern])
    mean, std = statistics.channel_mean.tolist(), statistics.channel_std.tolist()
    network = build_model(config.trainer.model, len(config.data.classes), mean, std, "float32")
    target = str(folder / "Format-Serving")
    export_model(network, config.trainer.model, config.data, config.transform, statistics, target)


if __name__ == "__main__":
    run_measurement(prepare)
