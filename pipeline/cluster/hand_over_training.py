"""Puts a training job in the place of the Trainer's own training in a compiled pipeline. Imports no TFX."""

from __future__ import annotations

import json
from typing import Any

from pipeline.cluster.worker_pod import build_worker_pod
from pipeline.config import PipelineConfig

JOB_KEY = "training_job"
"""Of the Trainer's ``custom_config``: what ``describe_job`` returned."""

_NODE = "Trainer"
_RUN_FN = "pipeline.cluster.train_on_job.run_fn"


def hand_over_training(spec: dict[str, Any], config: PipelineConfig) -> None:
    """Lets the Trainer's step create the job of ``kubeflow.training_job`` and wait for it; in place.

    Its executor stays TFX's, and so do its inputs and outputs: only the function that trains is another one.
    """
    if config.kubeflow.training_job is None:
        return
    parameters = spec["root"]["dag"]["tasks"][_NODE]["inputs"]["parameters"]
    parameters["run_fn"]["runtimeValue"]["constant"] = _RUN_FN
    custom = parameters["custom_config"]["runtimeValue"]
    described = {**json.loads(custom["constant"]), JOB_KEY: describe_job(config)}
    custom["constant"] = json.dumps(described, sort_keys=True)


def describe_job(config: PipelineConfig) -> str:
    """Returns as JSON what the step must know to create the job."""
    job = config.kubeflow.training_job
    assert job is not None
    described = {
        "pipeline": config.name,
        "kind": job.kind,
        "workers": job.workers,
        "namespace": job.namespace,
        "service_account": job.service_account,
        "pod": build_worker_pod(config.kubeflow),
    }
    return json.dumps(described, sort_keys=True)
