"""The Evaluator against a bare loop over ``serving_default`` and a confusion matrix in numpy."""

from __future__ import annotations

import itertools
import json
import shutil
import statistics

import bare_work
import tensorflow as tf
from dag_nodes import DagNodes, open_examples
from harness import Job, Row, alternate, compare_at_least, run_measurement, time_call
from prepare import SPLITS, digits_config, example_files, examples_folder, model_folder

_FEW, _MANY = ("val",), ("val", "train")


def measure(job: Job) -> list[Row]:
    """Measures both on the sample's images, with the sample's network."""
    config = digits_config(job)
    num_classes, ignore_id = len(config.data.classes), config.data.ignore_id
    nodes = DagNodes(config, job.scratch / "evaluation/workspace")
    examples = open_examples(examples_folder(job), SPLITS)
    folders = (job.scratch / "evaluation" / str(number) for number in itertools.count())
    few, many = (sum(1 for _ in _read(job, splits)) for splits in (_FEW, _MANY))
    model = tf.saved_model.load(str(model_folder(job) / "Format-Serving"))
    whole_rates, starts = [], []

    def time_evaluator(splits: tuple[str, ...]) -> float:
        folder = next(folders)
        seconds = time_call(
            lambda: nodes.evaluate(examples, model_folder(job), folder, json.dumps(list(splits)))
        )
        shutil.rmtree(folder)
        return seconds

    def ours() -> float:
        short, long = time_evaluator(_FEW), time_evaluator(_MANY)
        rate = (many - few) / (long - short)
        whole_rates.append(many / long)
        starts.append(short - few / rate)
        return rate

    def bare() -> float:
        records = _read(job, _FEW)
        serve = model.signatures["serving_default"]
        return few / time_call(lambda: bare_work.evaluate(serve, records, num_classes, ignore_id))

    rates = alternate(ours, bare, job.pairs, "evaluation", warm_up=lambda: time_evaluator(_FEW))
    about = (
        f"from {few} to {many} images; start {statistics.median(starts):.1f} s, "
        f"with it {statistics.median(whole_rates):.0f} images/s"
    )
    return [compare_at_least("evaluation", "images/s", rates, None, about)]


def _read(job: Job, splits: tuple[str, ...]) -> tf.data.Dataset:
    return tf.data.TFRecordDataset(example_files(job, splits))


if __name__ == "__main__":
    run_measurement(measure)
