"""The pods of a training job: what Kubernetes is told of every worker. Imports no TFX."""

from __future__ import annotations

from typing import Any

from pipeline.cluster.config import KubeflowConfig
from pipeline.cluster.pod_config import PodConfig, TolerationConfig, VolumeConfig

PORT = 2222
_SCRATCH_FOLDER = "/tmp"
"""What a worker may write to beside its volumes: its root file system is read-only."""


def build_worker_pod(kubeflow: KubeflowConfig) -> dict[str, Any]:
    """Returns the template of a worker's pod.

    Its one container has no name, command and environment of the job yet, and no user. Secrets are named
    in it; their values are Kubernetes' own.
    """
    pod, job = kubeflow.worker(), kubeflow.training_job
    assert job is not None
    volumes, mounts = _mount(pod)
    container: dict[str, Any] = {
        "image": job.image or kubeflow.image,
        "imagePullPolicy": kubeflow.image_pull_policy,
        "env": _build_environment(pod),
        "resources": _build_resources(pod),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
        # The last lines of a worker that failed are then part of its pod's state.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    spec: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "imagePullSecrets": [{"name": name} for name in kubeflow.image_pull_secrets],
        "nodeSelector": dict(pod.node_selector),
        "tolerations": [_build_toleration(one) for one in pod.tolerations],
        "containers": [_without_nothing(container)],
        "volumes": volumes,
    }
    # A sidecar would outlive the training, and the job would never end.
    annotations = {"sidecar.istio.io/inject": "false"}
    labels = {"app.kubernetes.io/name": "deconvflow-training", "sidecar.istio.io/inject": "false"}
    return {"metadata": {"labels": labels, "annotations": annotations}, "spec": _without_nothing(spec)}


def _mount(pod: PodConfig) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Returns the volumes, and where they are mounted."""
    volumes: list[dict[str, Any]] = []
    mounts: list[dict[str, Any]] = []

    def add(name: str, path: str, source: dict[str, Any]) -> None:
        volumes.append({"name": name, **source})
        mounts.append({"name": name, "mountPath": path})

    for index, volume in enumerate(pod.volumes):
        add(f"volume-{index}", volume.mount_path, _build_source(volume))
    if _SCRATCH_FOLDER not in {volume.mount_path for volume in pod.volumes}:
        add("scratch", _SCRATCH_FOLDER, {"emptyDir": {}})
    if pod.shared_memory is not None:
        add("shared-memory", "/dev/shm", {"emptyDir": {"medium": "Memory", "sizeLimit": pod.shared_memory}})
    return volumes, mounts


def _build_source(volume: VolumeConfig) -> dict[str, Any]:
    if volume.claim is not None:
        return {"persistentVolumeClaim": {"claimName": volume.claim}}
    return {"emptyDir": {"sizeLimit": volume.size_limit} if volume.size_limit else {}}


def _build_environment(pod: PodConfig) -> list[dict[str, Any]]:
    plain = [{"name": name, "value": pod.environment[name]} for name in sorted(pod.environment)]
    return plain + [
        {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret.name, "key": secret.keys[variable]}}}
        for secret in pod.secrets
        for variable in sorted(secret.keys)
    ]


def _build_resources(pod: PodConfig) -> dict[str, Any]:
    devices = {pod.accelerator.type: str(pod.accelerator.count)} if pod.accelerator else {}
    requests = {"cpu": pod.cpu, "memory": pod.memory}
    limits = {"cpu": pod.cpu_limit, "memory": pod.memory_limit or pod.memory, **devices}
    return _without_nothing({"requests": _without_nothing(requests), "limits": _without_nothing(limits)})


def _build_toleration(toleration: TolerationConfig) -> dict[str, Any]:
    return _without_nothing(
        {
            "key": toleration.key,
            "operator": toleration.operator,
            "value": toleration.value,
            "effect": toleration.effect,
            "tolerationSeconds": toleration.seconds,
        }
    )


def _without_nothing(built: dict[str, Any]) -> dict[str, Any]:
    """Leaves out what was not asked for."""
    return {key: value for key, value in built.items() if value not in (None, [], {})}
