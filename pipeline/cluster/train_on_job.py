"""The Trainer's step where several machines train: it creates a job, waits, and hands its model on.

What the pods read and write goes through a folder that the step and all workers see, below
``kubeflow.checkpoint_root``: the transformed examples, which the backend gave to the step alone, and
``job.json`` for ``trainer.run_worker``; then the model and the records of the training.

Functions only: TFX reloads this module.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import tensorflow as tf

from data.errors import Problem, RefusedError
from pipeline.cluster.follow_job import JobFollower
from pipeline.cluster.hand_over_training import JOB_KEY
from pipeline.cluster.job_api import JobApi, Pace, connect
from pipeline.cluster.job_resources import JobPlan
from pipeline.cluster.platform_document import NAMESPACE_VARIABLE, SERVICE_ACCOUNT_VARIABLE
from pipeline.cluster.read_arguments import RUN_VARIABLE
from trainer.fn_args import FnArgs

_COMMAND = ("python", "-m", "trainer.run_worker")
_LONGEST_SLUG = 24


def run_fn(fn_args: FnArgs) -> None:
    """Trains on several machines, as TFX's entry into training.

    Raises:
        RefusedError: the job cannot be made, or a worker refused the configuration or the data.
        TrainingJobError: it failed.
    """
    settings = json.loads(fn_args.custom_config[JOB_KEY])
    name = name_job(settings["pipeline"], os.environ.get(RUN_VARIABLE, ""), fn_args.serving_model_dir)
    folder = f"{fn_args.custom_config['checkpoint_root'].rstrip('/')}/jobs/{name}"
    plan = _make_plan(settings, name, f"{folder}/job.json")
    pace = Pace()
    follower = JobFollower(plan, JobApi(plan, connect(), pace), pace)
    follower.run(lambda: prepare_folder(folder, fn_args), lambda: tf.io.gfile.exists(f"{folder}/model"))
    copy_tree(f"{folder}/logs", fn_args.model_run_dir)
    copy_tree(f"{folder}/model", fn_args.serving_model_dir)
    # Last of all: until here, this step could be killed and find what it needs again.
    JobApi(plan, connect(), pace).delete()
    tf.io.gfile.rmtree(folder)


def name_job(pipeline: str, run_id: str, output: str) -> str:
    """Returns a name that another attempt at the same step of the same run finds again.

    Args:
        pipeline: its name begins the job's.
        run_id: of the run.
        output: where the execution's model goes; the backend names that by run, step and execution.

    Returns:
        A DNS label of at most 35 characters: names of pods have room behind it.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", pipeline.lower())[:_LONGEST_SLUG].strip("-")
    # Names of services must begin with a letter.
    slug = slug if slug[:1].isalpha() else f"t-{slug}"[:_LONGEST_SLUG].strip("-")
    return f"{slug}-{hashlib.sha256(f'{run_id} {output}'.encode()).hexdigest()[:10]}"


def _make_plan(settings: Mapping[str, Any], name: str, job_file: str) -> JobPlan:
    namespace = settings["namespace"] or os.environ.get(NAMESPACE_VARIABLE)
    if not namespace:
        what, remedy = (
            f"is not known: {NAMESPACE_VARIABLE} is not set",
            "Set it, or compile the pipeline again",
        )
        raise RefusedError([Problem("kubeflow.training_job.namespace", what, remedy, "no_namespace")])
    return JobPlan(
        kind=settings["kind"],
        name=name,
        namespace=namespace,
        workers=settings["workers"],
        command=(*_COMMAND, job_file),
        pod=settings["pod"],
        user=(os.getuid(), os.getgid()),
        service_account=settings["service_account"] or os.environ.get(SERVICE_ACCOUNT_VARIABLE) or None,
        notes={
            "deconvflow/pipeline": settings["pipeline"],
            "deconvflow/run-id": os.environ.get(RUN_VARIABLE, ""),
        },
    )


def prepare_folder(folder: str, fn_args: FnArgs) -> None:
    """Writes what the workers read; what an earlier attempt left is replaced."""
    if tf.io.gfile.exists(folder):
        tf.io.gfile.rmtree(folder)
    train, val = list(fn_args.train_files), list(fn_args.eval_files)
    arguments = {
        "train_files": _copy_files(train, f"{folder}/examples/train"),
        "eval_files": _copy_files(val, f"{folder}/examples/{'train' if val == train else 'val'}"),
        "serving_model_dir": f"{folder}/model",
        "model_run_dir": f"{folder}/logs",
        "custom_config": {key: value for key, value in fn_args.custom_config.items() if key != JOB_KEY},
        "hyperparameters": getattr(fn_args, "hyperparameters", None),
    }
    with tf.io.gfile.GFile(f"{folder}/job.json", "w") as file:
        file.write(json.dumps(arguments))


def _copy_files(patterns: Sequence[str], folder: str) -> list[str]:
    """Copies files under their own names, by which checkpoints know them; returns the copies."""
    tf.io.gfile.makedirs(folder)
    copies = {
        file: f"{folder}/{PurePosixPath(file).name}" for one in patterns for file in tf.io.gfile.glob(one)
    }
    for file, copied in copies.items():
        tf.io.gfile.copy(file, copied, overwrite=True)
    return sorted(copies.values())


def copy_tree(source: str, target: str) -> None:
    """Copies a folder with everything in it, to any place that TensorFlow opens."""
    tf.io.gfile.makedirs(target)
    for name in tf.io.gfile.listdir(source):
        # Object stores list folders with a slash behind their names.
        one = name.rstrip("/")
        if tf.io.gfile.isdir(f"{source}/{one}"):
            copy_tree(f"{source}/{one}", f"{target}/{one}")
        else:
            tf.io.gfile.copy(f"{source}/{one}", f"{target}/{one}", overwrite=True)
