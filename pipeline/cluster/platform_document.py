"""The second document of a compiled pipeline: what steps ask of Kubernetes. Imports no TFX."""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format

from pipeline.cluster.config import NODES, KubeflowConfig
from pipeline.cluster.load_messages import load_kubernetes_messages
from pipeline.cluster.pod_config import TolerationConfig, VolumeConfig
from pipeline.store_address import PASSWORD_VARIABLE

RUN_ID_LABEL = "metadata.labels['pipeline/runid']"
"""Where the backend writes the run's id on every pod."""
NAMESPACE_VARIABLE, SERVICE_ACCOUNT_VARIABLE = "DECONVFLOW_NAMESPACE", "DECONVFLOW_SERVICE_ACCOUNT"
"""What a training job takes from the pod of the step that creates it."""


def build_platforms(
    kubeflow: KubeflowConfig, executor_labels: dict[str, str], run_id_variable: str, takes_password: bool
) -> dict[str, Any]:
    """Returns the document as protobuf's JSON.

    Args:
        kubeflow: the section of the configuration.
        executor_labels: by node, the label of its executor in the pipeline's specification.
        run_id_variable: the environment variable that gets the run's id.
        takes_password: whether the metadata store asks for one.
    """
    executors = {
        executor_labels[node]: _canonical(_build_step(kubeflow, node, run_id_variable, takes_password))
        for node in NODES
        if node in executor_labels
    }
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}


def _build_step(
    kubeflow: KubeflowConfig, node: str, run_id_variable: str, takes_password: bool
) -> dict[str, Any]:
    step = kubeflow.step(node)
    secrets = {secret.name: dict(secret.keys) for secret in step.secrets}
    if takes_password:
        password = kubeflow.metadata_password
        secrets.setdefault(password.name, {})[PASSWORD_VARIABLE] = password.key
    volumes = [volume for volume in step.volumes if volume.claim is None]
    fields = {run_id_variable: RUN_ID_LABEL}
    if node == "Trainer" and kubeflow.training_job is not None:
        fields |= {
            NAMESPACE_VARIABLE: "metadata.namespace",
            SERVICE_ACCOUNT_VARIABLE: "spec.serviceAccountName",
        }
    built: dict[str, Any] = {
        "fieldPathAsEnv": [{"name": name, "fieldPath": path} for name, path in fields.items()],
        "secretAsEnv": [_secret(name, secrets[name]) for name in sorted(secrets)],
        "imagePullSecret": [_named(name) for name in kubeflow.image_pull_secrets],
        "nodeSelector": {"labels": step.node_selector} if step.node_selector else None,
        "tolerations": [_toleration(toleration) for toleration in step.tolerations],
        "pvcMount": [_claim(volume) for volume in step.volumes if volume.claim is not None],
        "emptyDirMounts": [_empty_folder(volume, index) for index, volume in enumerate(volumes)],
        "imagePullPolicy": kubeflow.image_pull_policy,
    }
    if step.shared_memory is not None:
        built["emptyDirMounts"].append(
            {
                "volumeName": "shared-memory",
                "mountPath": "/dev/shm",
                "medium": "Memory",
                "sizeLimit": step.shared_memory,
            }
        )
    if step.timeout_minutes is not None:
        built["activeDeadlineSeconds"] = max(1, round(step.timeout_minutes * 60))
    return {key: value for key, value in built.items() if value}


def _constant(value: str) -> dict[str, Any]:
    return {"runtimeValue": {"constant": value}}


def _named(name: str) -> dict[str, Any]:
    # Backends before 2.5 read the plain name, later ones the parameter.
    return {"secretName": name, "secretNameParameter": _constant(name)}


def _secret(name: str, keys: dict[str, str]) -> dict[str, Any]:
    entries = [{"envVar": variable, "secretKey": keys[variable]} for variable in sorted(keys)]
    return {**_named(name), "keyToEnv": entries}


def _claim(volume: VolumeConfig) -> dict[str, Any]:
    assert volume.claim is not None
    return {
        "constant": volume.claim,
        "pvcNameParameter": _constant(volume.claim),
        "mountPath": volume.mount_path,
    }


def _empty_folder(volume: VolumeConfig, index: int) -> dict[str, Any]:
    built = {"volumeName": f"empty-{index}", "mountPath": volume.mount_path}
    return built | ({"sizeLimit": volume.size_limit} if volume.size_limit else {})


def _toleration(toleration: TolerationConfig) -> dict[str, Any]:
    built: dict[str, Any] = {
        "key": toleration.key,
        "operator": toleration.operator,
        "value": toleration.value,
        "effect": toleration.effect,
        "tolerationSeconds": toleration.seconds,
    }
    return {key: value for key, value in built.items() if value is not None}


def _canonical(step: dict[str, Any]) -> dict[str, Any]:
    """Returns a step's configuration as protobuf writes it, and fails where it has no such field."""
    message = json_format.ParseDict(step, load_kubernetes_messages().KubernetesExecutorConfig())
    built: dict[str, Any] = json_format.MessageToDict(message)
    return built
