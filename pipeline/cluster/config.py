"""Configuration of the runs on a Kubeflow cluster: the section ``kubeflow``. Imports no TFX."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from data.config import FrozenModel

DNS_LABEL = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
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

SecretName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Cpu = Annotated[str, Field(pattern=r"^([0-9]+m|[0-9]+(\.[0-9]{1,3})?)$")]
Memory = Annotated[str, Field(pattern=r"^[0-9]+(E|Ei|P|Pi|T|Ti|G|Gi|M|Mi|K|Ki)?$")]
AbsolutePath = Annotated[str, Field(pattern=r"^/[^\x00-\x20:$]*$")]

_RESERVED_VARIABLES = frozenset(
    {"DECONVFLOW_RUN_ID", "DECONVFLOW_METADATA_STORE", "DECONVFLOW_METADATA_PASSWORD"}
)
_SECRET_WORDS = re.compile(r"(PASSWORD|PASSWD|SECRET|TOKEN|ACCESS_KEY|API_KEY|CREDENTIAL)", re.IGNORECASE)
_HARMLESS_WORDS = re.compile(r"(_FILE|_PATH|_DIR|APPLICATION_CREDENTIALS)$", re.IGNORECASE)


class AcceleratorConfig(FrozenModel):
    """Devices of a step; training spreads over all of them."""

    type: str = Field("nvidia.com/gpu", pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$")
    """The resource's name, as the node pool's device plugin publishes it."""
    count: int = Field(1, ge=1, le=64)


class TolerationConfig(FrozenModel):
    """A taint of nodes that a step may run on, as in Kubernetes."""

    key: str | None = Field(None, min_length=1)
    operator: Literal["Exists", "Equal"] = "Equal"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    seconds: int | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _is_possible(self) -> TolerationConfig:
        if self.operator == "Exists" and self.value is not None:
            raise ValueError("operator Exists takes no value; leave it out, or use Equal")
        if self.operator == "Equal" and self.key is None:
            raise ValueError("operator Equal needs a key")
        return self


class VolumeConfig(FrozenModel):
    """A folder of a step: a persistent volume claim, or an empty one that goes with the pod."""

    mount_path: AbsolutePath
    claim: str | None = Field(None, pattern=DNS_LABEL)
    """Name of the persistent volume claim; without one the folder is empty at the start (emptyDir)."""
    size_limit: Memory | None = None
    """Of an empty folder."""

    @model_validator(mode="after")
    def _is_possible(self) -> VolumeConfig:
        if self.claim is not None and self.size_limit is not None:
            raise ValueError("size_limit is for empty folders; a claim has its own size")
        if self.mount_path in ("/", "/dev/shm"):
            raise ValueError("mount_path must not be / or /dev/shm (for the latter, see shared_memory)")
        return self


class SecretConfig(FrozenModel):
    """Environment variables of a step that come from one Kubernetes secret."""

    name: SecretName
    keys: dict[VariableName, str] = Field(min_length=1)
    """Environment variable: key of the secret."""

    @model_validator(mode="after")
    def _leaves_ours_alone(self) -> SecretConfig:
        _refuse_reserved(self.keys)
        return self


class StepConfig(FrozenModel):
    """What a step gets from the cluster."""

    cpu: Cpu | None = None
    """Requested cores: 4, 500m."""
    cpu_limit: Cpu | None = None
    memory: Memory | None = None
    """Requested memory: 8Gi. It is the limit, too, unless memory_limit says otherwise."""
    memory_limit: Memory | None = None
    accelerator: AcceleratorConfig | None = None
    node_selector: dict[str, str] = Field(default_factory=dict)
    tolerations: tuple[TolerationConfig, ...] = ()
    volumes: tuple[VolumeConfig, ...] = ()
    shared_memory: Memory | None = None
    """Size of /dev/shm, which NCCL needs with several GPUs: 8Gi. It counts as the step's memory."""
    environment: dict[VariableName, str] = Field(default_factory=dict)
    """Environment variables. Never a secret: it could be read by all who see the pipeline."""
    secrets: tuple[SecretConfig, ...] = ()
    retries: int = Field(0, ge=0, le=20)
    retry_after_seconds: int = Field(30, ge=0)
    """Doubles with every retry, up to an hour."""
    timeout_minutes: float | None = Field(None, gt=0)
    """A step that takes longer is stopped and has failed."""
    cache: bool = True
    """False runs the step every time. Steps that look at the world always do."""

    @model_validator(mode="after")
    def _is_possible(self) -> StepConfig:
        _refuse_reserved(self.environment)
        for name in self.environment:
            if looks_secret(name):
                raise ValueError(f"{name} looks like a secret; take it from one by secrets")
        paths = [volume.mount_path for volume in self.volumes]
        if len(set(paths)) < len(paths):
            raise ValueError("volumes must have different mount_paths")
        return self


def looks_secret(variable: str) -> bool:
    """Says whether an environment variable's name promises a secret, and not where one is."""
    return bool(_SECRET_WORDS.search(variable)) and not _HARMLESS_WORDS.search(variable)


def _refuse_reserved(names: dict[str, str]) -> None:
    if taken := sorted(_RESERVED_VARIABLES & set(names)):
        raise ValueError(f"{taken[0]} is set by deconvflow; see metadata.store and metadata_password")


class SecretKey(FrozenModel):
    """One entry of a Kubernetes secret."""

    name: SecretName
    key: str = Field(min_length=1)


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
