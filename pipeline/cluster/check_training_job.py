"""Whether several machines can train what a configuration says. Imports no TFX."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from data.errors import Problem
from pipeline.cluster.pod_config import VolumeConfig
from pipeline.config import PipelineConfig


def find_job_problems(config: PipelineConfig) -> Iterator[Problem]:
    """Yields what would stop the workers of ``kubeflow.training_job``, or keep them from their files."""
    job, worker = config.kubeflow.training_job, config.kubeflow.worker()
    if job is None:
        return
    if config.trainer.devices != "auto":
        what = f"is {config.trainer.devices}, but each worker of a training job trains on all of its devices"
        yield Problem("trainer.devices", what, "Set it to auto", "config_bad_value")
    devices = job.workers * (worker.accelerator.count if worker.accelerator else 1)
    if config.trainer.batch_size % devices:
        what = f"is {config.trainer.batch_size}, and {job.workers} workers have {devices} devices in all"
        yield Problem("trainer.batch_size", what, f"Set it to a multiple of {devices}", "config_bad_value")
    yield from _find_volume_problems(config, worker.volumes)


def _find_volume_problems(config: PipelineConfig, volumes: tuple[VolumeConfig, ...]) -> Iterator[Problem]:
    root = config.kubeflow.checkpoint_root
    step = _find_claim(root, config.kubeflow.step("Trainer").volumes)
    if "://" not in root and (step is None or step != _find_claim(root, volumes)):
        what = f"is {root}, where the Trainer's step and the workers of kubeflow.training_job share no claim"
        remedy = (
            "Name a folder below a volume with a claim that several nodes mount (ReadWriteMany), or gs://"
        )
        yield Problem("kubeflow.checkpoint_root", what, remedy, "config_bad_value")
    weights = config.trainer.model.weights_path
    if weights and "://" not in weights and _find_claim(weights, volumes) is None:
        what = f"is {weights}, and workers have no volume with a claim there"
        remedy = "Name s3:// or gs://, or a path below a volume of kubeflow.training_job.pod.volumes"
        yield Problem("trainer.model.weights", what, remedy, "config_bad_value")


def _find_claim(path: str, volumes: Iterable[VolumeConfig]) -> str | None:
    """Returns the claim of the innermost volume that holds a path; None without one."""
    holding = [one for one in volumes if PurePosixPath(path).is_relative_to(one.mount_path)]
    innermost = max(holding, key=lambda one: len(one.mount_path), default=None)
    return innermost.claim if innermost else None
