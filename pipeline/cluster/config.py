"""Configuration of the runs on a Kubeflow cluster: the section ``kubeflow``. Imports no TFX."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from data.config import FrozenModel
from pipeline.cluster.pod_config import DNS_LABEL, PodConfig, SecretConfig, SecretName

NODES = (
    "DatasetSnapshot",
    "SegmentationExampleGen",
    "StatisticsGen",
    "ImportSchemaGen",
    "ExampleValidator",
    "DataGate",
    "Transform",
    "Tuner",
    "Trainer",
    "BaselineModel",
    "Evaluator",
    "ServingSmokeTest",
    "Pusher",
    "RunReport",
)
"""The steps, in their order: keys of ``kubeflow.components``. Only the section ``tuner`` makes a Tuner."""

NEVER_CACHED = frozenset({"DatasetSnapshot", "DataGate", "BaselineModel", "Pusher", "RunReport"})
"""Steps that look at the world (the data set, what is served), and the last one, which ends the record."""


class StepConfig(PodConfig):
    """What a step gets from the cluster."""

    retries: int = Field(0, ge=0, le=20)
    retry_after_seconds: int = Field(30, ge=0)
    """Doubles with every retry, up to an hour."""
    timeout_minutes: float | None = Field(None, gt=0)
    """A step that takes longer is stopped and has failed."""
    cache: bool = True
    """False runs the step every time. Steps that look at the world always do."""


class SecretKey(FrozenModel):
    """One entry of a Kubernetes secret."""

    name: SecretName
    key: str = Field(min_length=1)


class TrainingJobConfig(FrozenModel):
    """A job of several machines that trains in the place of the Trainer's step, which waits for it."""

    kind: Literal["tfjob", "trainjob"] = "tfjob"
    """tfjob: of Training Operator (kubeflow.org/v1). trainjob: of Kubeflow Trainer 2
    (trainer.kubeflow.org/v1alpha1)."""
    workers: int = Field(2, ge=1, le=256)
    """Machines. trainer.batch_size is a multiple of all their devices."""
    namespace: str | None = Field(None, pattern=DNS_LABEL)
    """That of the Trainer's step if None."""
    service_account: SecretName | None = None
    """Of the workers; that of the Trainer's step if None."""
    image: str | None = None
    """Of the workers; kubeflow.image if None."""
    pod: PodConfig = PodConfig()
    """What each worker gets: its keys take the place of those of the Trainer's step."""

    @model_validator(mode="after")
    def _is_possible(self) -> TrainingJobConfig:
        if self.image is not None and (problem := find_image_problem(self.image)):
            raise ValueError(f"image {self.image} {problem}")
        return self


class KubeflowConfig(FrozenModel):
    """How the pipeline runs on Kubeflow Pipelines; the defaults fit its standard installation."""

    image: str = "deconvflow:0.1.0"
    """What every step runs. Pinned by a version or a digest: the cache goes by this name."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    image_pull_secrets: tuple[SecretName, ...] = ()
    pipeline_root: str = Field("minio://mlpipeline/deconvflow", pattern=r"^(minio|s3|gs)://[^/\s]+(/\S*)?$")
    """Where the backend keeps the artifacts between the steps."""
    serving_root: str | None = None
    """Where models are pushed, in a folder a pipeline: s3://, gs://, or a path below a volume. push.root if
    None, and else the backend's own bucket."""
    checkpoint_root: str = "/tmp/deconvflow/checkpoints"
    """Where training goes on after a retry: below a volume with a claim, or gs://. Below /tmp it is lost."""
    gate_reports: str | None = None
    """Where reports of runs that the data gate stopped are kept, beside the step's log."""
    attributes: tuple[str, ...] | None = None
    """The columns of data.attributes; read from the data set if None, which must then be in reach."""
    has_validation: bool | None = None
    """Whether the data set has a val split; as for attributes."""
    metadata_password: SecretKey = SecretKey(name="deconvflow-metadata", key="password")
    """The password for metadata.store, where that takes one."""
    defaults: StepConfig = StepConfig(
        environment={"AWS_ENDPOINT_URL": "http://minio-service.kubeflow:9000", "AWS_REGION": "us-east-1"},
        secrets=(
            SecretConfig(
                name="mlpipeline-minio-artifact",
                keys={"AWS_ACCESS_KEY_ID": "accesskey", "AWS_SECRET_ACCESS_KEY": "secretkey"},
            ),
        ),
    )
    """For all steps."""
    components: dict[str, StepConfig] = Field(default_factory=dict)
    """By step: its keys take the place of those of ``defaults``."""
    training_job: TrainingJobConfig | None = None
    """Trains on several machines; without it, the Trainer's step trains."""

    @model_serializer(mode="wrap")
    def _leave_out_no_job(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Records a pipeline without a training job as if there were no such key."""
        return {
            key: value for key, value in serialize(self).items() if key != "training_job" or value is not None
        }

    @model_validator(mode="after")
    def _is_possible(self) -> KubeflowConfig:
        if unknown := sorted(set(self.components) - set(NODES)):
            raise ValueError(f"components: {unknown[0]} is no step; steps are {', '.join(NODES)}")
        if problem := find_image_problem(self.image):
            raise ValueError(f"image {self.image} {problem}")
        for name, step in self.components.items():
            if name in NEVER_CACHED and "cache" in step.model_fields_set and step.cache:
                raise ValueError(f"components.{name}.cache must not be true: it looks at the world each time")
        return self

    def step(self, node: str) -> StepConfig:
        """Returns what a step gets: its own keys over the defaults."""
        own = self.components.get(node)
        if own is None:
            return self.defaults
        return self.defaults.model_copy(update={key: getattr(own, key) for key in own.model_fields_set})

    def worker(self) -> PodConfig:
        """Returns what each worker of the training job gets."""
        step = {key: getattr(self.step("Trainer"), key) for key in PodConfig.model_fields}
        own = self.training_job.pod if self.training_job else PodConfig()
        return PodConfig(**step).model_copy(update={key: getattr(own, key) for key in own.model_fields_set})


def find_image_problem(image: str) -> str | None:
    """Says what is wrong with the name of an image, as the rest of a sentence; None if nothing is."""
    if not re.fullmatch(r"[\w.:/@+-]+", image):
        return "is no name of an image"
    name, _, digest = image.partition("@")
    if digest:
        return None if re.fullmatch(r"sha256:[0-9a-f]{64}", digest) else "has a digest that is none"
    tag = name.rpartition("/")[2].partition(":")[2]
    if not tag:
        return "is not pinned to a version or a digest"
    return "is not pinned: latest is another image tomorrow" if tag == "latest" else None
