"""Configuration of a pod: what a step, or a training job's worker, gets. Imports no TFX."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from data.config import FrozenModel

DNS_LABEL = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"

SecretName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Cpu = Annotated[str, Field(pattern=r"^([0-9]+m|[0-9]+(\.[0-9]{1,3})?)$")]
Memory = Annotated[str, Field(pattern=r"^[0-9]+(E|Ei|P|Pi|T|Ti|G|Gi|M|Mi|K|Ki)?$")]
AbsolutePath = Annotated[str, Field(pattern=r"^/[^\x00-\x20:$]*$")]

_RESERVED_VARIABLES = frozenset(
    {
        "DECONVFLOW_RUN_ID",
        "DECONVFLOW_METADATA_STORE",
        "DECONVFLOW_METADATA_PASSWORD",
        "DECONVFLOW_NAMESPACE",
        "DECONVFLOW_SERVICE_ACCOUNT",
        "TF_CONFIG",
    }
)
_SECRET_WORDS = re.compile(r"(PASSWORD|PASSWD|SECRET|TOKEN|ACCESS_KEY|API_KEY|CREDENTIAL)", re.IGNORECASE)
_HARMLESS_WORDS = re.compile(r"(_FILE|_PATH|_DIR|APPLICATION_CREDENTIALS)$", re.IGNORECASE)


class AcceleratorConfig(FrozenModel):
    """Devices of a pod; training spreads over all of them."""

    type: str = Field("nvidia.com/gpu", pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$")
    """The resource's name, as the node pool's device plugin publishes it."""
    count: int = Field(1, ge=1, le=64)


class TolerationConfig(FrozenModel):
    """A taint of nodes that a pod may run on, as in Kubernetes."""

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
    """A folder of a pod: a persistent volume claim, or an empty one that goes with the pod."""

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
    """Environment variables of a pod that come from one Kubernetes secret."""

    name: SecretName
    keys: dict[VariableName, str] = Field(min_length=1)
    """Environment variable: key of the secret."""

    @model_validator(mode="after")
    def _leaves_ours_alone(self) -> SecretConfig:
        _refuse_reserved(self.keys)
        return self


class PodConfig(FrozenModel):
    """What a pod gets from the cluster."""

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
    """Size of /dev/shm, which NCCL needs with several GPUs: 8Gi. It counts as the pod's memory."""
    environment: dict[VariableName, str] = Field(default_factory=dict)
    """Environment variables. Never a secret: it could be read by all who see the pipeline."""
    secrets: tuple[SecretConfig, ...] = ()

    @model_validator(mode="after")
    def _is_possible(self) -> PodConfig:
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
        hint = "; see metadata.store and metadata_password" if "METADATA" in taken[0] else ""
        raise ValueError(f"{taken[0]} is set by deconvflow{hint}")
