"""Whether the places that a configuration names exist for the pods of a cluster. Imports no TFX."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from data.errors import Problem, RefusedError
from data.object_store import S3_ENDPOINT_VARIABLES
from pipeline.cluster.check_training_job import find_job_problems
from pipeline.cluster.config import NODES, KubeflowConfig
from pipeline.config import SAMPLE_SCHEME, PipelineConfig
from pipeline.store_address import parse_address

SAMPLES = ("digits",)
STANDARD_SERVING_ROOT = "s3://mlpipeline/deconvflow/serving"
"""In the bucket that comes with Kubeflow Pipelines."""

_THIS_MACHINE = ("localhost", "127.0.0.1", "::1", "0.0.0.0")
_READ_DATA = ("DatasetSnapshot", "SegmentationExampleGen")
_READ_SERVED = ("DataGate", "BaselineModel", "Evaluator", "Pusher")


@dataclass(frozen=True)
class ClusterPlaces:
    """Where a pipeline on a cluster keeps what; strings, for they may be URIs."""

    config: PipelineConfig
    scratch: Path
    """A folder of the compiling machine."""

    def pipeline_root(self, name: str) -> str:
        """The backend's root of artifacts."""
        return self.config.kubeflow.pipeline_root

    def schema_folder(self, name: str) -> Path:
        """Curated schemas; the compiler puts their text into the pipeline."""
        return self.scratch / name

    def checkpoints(self, name: str) -> str:
        """Training checkpoints."""
        return f"{self.config.kubeflow.checkpoint_root.rstrip('/')}/{name}"

    def serving(self, name: str) -> str:
        """Pushed versions."""
        return f"{find_serving_root(self.config)[1].rstrip('/')}/{name}"

    def gate_reports(self, name: str) -> str:
        """What the data gate saw when it stopped a run; empty for nowhere."""
        root = self.config.kubeflow.gate_reports
        return f"{root.rstrip('/')}/{name}" if root else ""


def find_serving_root(config: PipelineConfig) -> tuple[str, str]:
    """Returns where models are pushed, behind the key that says so: the cluster's own before the general."""
    if config.kubeflow.serving_root is None and config.push.root:
        return "push.root", config.push.root
    return "kubeflow.serving_root", config.kubeflow.serving_root or STANDARD_SERVING_ROOT


def check_places(config: PipelineConfig) -> None:
    """Refuses places of this machine, which no pod can see.

    Raises:
        RefusedError: with every such key.
    """
    if problems := list(_find_problems(config)):
        raise RefusedError(problems)


def list_steps(config: PipelineConfig) -> tuple[str, ...]:
    """Returns the steps of a configuration's pipeline, in their order."""
    return tuple(node for node in NODES if node != "Tuner" or config.tuner is not None)


def _find_problems(config: PipelineConfig) -> Iterator[Problem]:
    kubeflow = config.kubeflow
    if config.data.root.startswith(SAMPLE_SCHEME):
        if config.data.root.removeprefix(SAMPLE_SCHEME) not in SAMPLES:
            what = f"is {config.data.root}, and there is no such sample"
            yield Problem("data.root", what, f"Samples are {', '.join(SAMPLES)}", "config_bad_value")
    else:
        yield from _check("data.root", config.data.root, kubeflow, _READ_DATA)
    yield from _check(*find_serving_root(config), kubeflow, _READ_SERVED, lasting=True)
    yield from _check_endpoint(config)
    if weights := config.trainer.model.weights_path:
        yield from _check("trainer.model.weights", weights, kubeflow, ("Trainer",))
    if not _is_below(kubeflow.checkpoint_root, "/tmp"):
        training = ("Trainer",) if config.tuner is None else ("Tuner", "Trainer")
        yield from _check("kubeflow.checkpoint_root", kubeflow.checkpoint_root, kubeflow, training)
        if kubeflow.checkpoint_root.startswith("s3://"):
            what = f"is {kubeflow.checkpoint_root}, which TensorFlow does not open"
            remedy = "Name a folder below a volume with a claim, or gs://"
            yield Problem("kubeflow.checkpoint_root", what, remedy, "config_bad_value")
    yield from find_job_problems(config)
    if kubeflow.gate_reports:
        yield from _check("kubeflow.gate_reports", kubeflow.gate_reports, kubeflow, ("DataGate",))
    if config.metadata.store is not None:
        address = parse_address(config.metadata.store, "metadata.store")
        if address.path is not None and not _is_mounted(
            str(address.path), kubeflow, list_steps(config), True
        ):
            what = f"is {address.path}, a file of this machine, which no pod can see"
            remedy = "Name a server: mysql://, postgresql:// or grpc://"
            yield Problem("metadata.store", what, remedy, "config_bad_value")


def _check_endpoint(config: PipelineConfig) -> Iterator[Problem]:
    """Refuses an S3 API of this machine, unless every step is told of another one."""
    endpoint = config.storage.s3_endpoint_url
    variable = S3_ENDPOINT_VARIABLES[0]
    if endpoint is None or all(
        variable in config.kubeflow.step(node).environment for node in list_steps(config)
    ):
        return
    if (urlsplit(endpoint).hostname or "") in _THIS_MACHINE:
        remedy = f"Name the server as pods reach it, here or in kubeflow.defaults.environment.{variable}"
        what = f"is {endpoint}, which is another machine in every pod"
        yield Problem("storage.s3_endpoint_url", what, remedy, "config_bad_value")


def _check(
    key: str, place: str, kubeflow: KubeflowConfig, nodes: Iterable[str], lasting: bool = False
) -> Iterator[Problem]:
    scheme, separator, _ = place.partition("://")
    if separator:
        if scheme == "minio":
            remedy = "Write s3://, and name the server in storage.s3_endpoint_url"
            what = f"is {place}; minio:// is a name for the backend only"
            yield Problem(key, what, remedy, "config_bad_value")
        elif scheme == "file":
            yield Problem(key, f"is {place}, a path of one machine", "Write it without file://")
    elif not _is_mounted(place, kubeflow, nodes, lasting):
        what = f"is {place}, and {', '.join(nodes)} have no volume {'with a claim ' if lasting else ''}there"
        remedy = (
            "Name s3:// or gs://, or an absolute path below the mount_path of a volume of these steps "
            "(kubeflow.defaults.volumes)"
        )
        yield Problem(key, what, remedy, "config_bad_value")


def _is_mounted(path: str, kubeflow: KubeflowConfig, nodes: Iterable[str], lasting: bool) -> bool:
    return all(
        any(
            _is_below(path, volume.mount_path) and (volume.claim or not lasting)
            for volume in kubeflow.step(node).volumes
        )
        for node in nodes
    )


def _is_below(path: str, folder: str) -> bool:
    return (
        path.startswith("/")
        and ".." not in PurePosixPath(path).parts
        and PurePosixPath(path).is_relative_to(folder)
    )
