"""A training job as its operator takes it: TFJob, or TrainJob with a runtime of its own. Imports no TFX."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.cluster.worker_pod import PORT
from trainer.run_worker import FAILED, REFUSED

JobKind = Literal["tfjob", "trainjob"]

_RESTARTS_PER_WORKER = 20
_SECONDS_KEPT = 86_400
"""How long a TFJob that failed may be looked at."""
_ROOT = 0


@dataclass(frozen=True)
class Endpoint:
    """Where the API keeps resources of one kind."""

    group: str
    version: str
    plural: str
    kind: str


ENDPOINTS: dict[JobKind, tuple[Endpoint, ...]] = {
    "tfjob": (Endpoint("kubeflow.org", "v1", "tfjobs", "TFJob"),),
    "trainjob": (
        Endpoint("trainer.kubeflow.org", "v1alpha1", "trainingruntimes", "TrainingRuntime"),
        Endpoint("trainer.kubeflow.org", "v1alpha1", "trainjobs", "TrainJob"),
    ),
}
"""By kind of job, what is made for it: the job itself last."""

POD_LABELS: dict[JobKind, str] = {
    "tfjob": "training.kubeflow.org/job-name",
    "trainjob": "jobset.sigs.k8s.io/jobset-name",
}
"""Under which the operators write the job's name on its pods."""


@dataclass(frozen=True)
class JobPlan:
    """A training job.

    Attributes:
        kind: of the job.
        name: of the resources; a DNS label of at most 40 characters.
        namespace: of the resources.
        workers: how many.
        command: of every worker.
        pod: template of ``build_worker_pod``.
        user: uid and gid of the workers, so that they and the step own the same files.
        service_account: None for the namespace's default.
        notes: annotations of the job, to find the run that it belongs to.
    """

    kind: JobKind
    name: str
    namespace: str
    workers: int
    command: tuple[str, ...]
    pod: Mapping[str, Any]
    user: tuple[int, int]
    service_account: str | None
    notes: Mapping[str, str]

    @property
    def title(self) -> str:
        """The job's kind and name, for messages."""
        return f"{ENDPOINTS[self.kind][-1].kind} {self.name}"

    @property
    def pod_selector(self) -> str:
        """Selects the pods of all workers."""
        return f"{POD_LABELS[self.kind]}={self.name}"


def build_resources(plan: JobPlan) -> list[dict[str, Any]]:
    """Returns the custom resources of a job, in the order of ``ENDPOINTS``."""
    specs = [_build_tfjob(plan)] if plan.kind == "tfjob" else [_build_runtime(plan), _build_trainjob(plan)]
    metadata = {
        "name": plan.name,
        "namespace": plan.namespace,
        "labels": {"app.kubernetes.io/managed-by": "deconvflow"},
        "annotations": dict(plan.notes),
    }
    return [
        {
            "apiVersion": f"{endpoint.group}/{endpoint.version}",
            "kind": endpoint.kind,
            "metadata": copy.deepcopy(metadata),
            "spec": spec,
        }
        for endpoint, spec in zip(ENDPOINTS[plan.kind], specs, strict=True)
    ]


def _build_tfjob(plan: JobPlan) -> dict[str, Any]:
    ports = [{"name": "tfjob-port", "containerPort": PORT}]
    return {
        "runPolicy": {
            "backoffLimit": _RESTARTS_PER_WORKER,
            "cleanPodPolicy": "Running",
            "ttlSecondsAfterFinished": _SECONDS_KEPT,
        },
        # The chief's end is not enough: all must have ended well.
        "successPolicy": "AllWorkers",
        "tfReplicaSpecs": {
            "Worker": {
                "replicas": plan.workers,
                # Starts those again that end with 128 or more: run_worker does where another one was lost.
                "restartPolicy": "ExitCode",
                "template": _build_pod(plan, "tensorflow", [], ports),
            }
        },
    }


def _build_runtime(plan: JobPlan) -> dict[str, Any]:
    """Returns a runtime that makes TF_CONFIG of the pod's index and of JobSet's names of pods."""
    hosts = [f"{plan.name}-node-0-{index}.{plan.name}:{PORT}" for index in range(plan.workers)]
    cluster = json.dumps({"worker": hosts})
    index_path = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    variables: list[dict[str, Any]] = [
        {"name": "WORKER", "valueFrom": {"fieldRef": {"fieldPath": index_path}}},
        {
            "name": "TF_CONFIG",
            "value": f'{{"cluster": {cluster}, "task": {{"type": "worker", "index": $(WORKER)}}}}',
        },
    ]
    pod = _build_pod(plan, "node", variables, [{"name": "tensorflow", "containerPort": PORT}])
    pod["spec"]["restartPolicy"] = "Never"
    # Refused, or failed for a reason that would come again.
    rule = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [FAILED, REFUSED]}}
    node = {
        "name": "node",
        "template": {
            "metadata": {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}},
            "spec": {
                "completionMode": "Indexed",
                "backoffLimit": _RESTARTS_PER_WORKER * plan.workers,
                "podFailurePolicy": {"rules": [rule]},
                "template": pod,
            },
        },
    }
    return {
        "mlPolicy": {"numNodes": plan.workers},
        "template": {"spec": {"replicatedJobs": [node]}},
    }


def _build_trainjob(plan: JobPlan) -> dict[str, Any]:
    runtime = ENDPOINTS["trainjob"][0]
    return {
        "runtimeRef": {"apiGroup": runtime.group, "kind": runtime.kind, "name": plan.name},
        "trainer": {"numNodes": plan.workers},
    }


def _build_pod(
    plan: JobPlan, container_name: str, variables: list[dict[str, Any]], ports: list[dict[str, Any]]
) -> dict[str, Any]:
    pod: dict[str, Any] = copy.deepcopy(dict(plan.pod))
    (container,) = pod["spec"]["containers"]
    container |= {
        "name": container_name,
        "command": list(plan.command),
        "ports": ports,
        "env": [*container.get("env", []), *variables],
    }
    user, group = plan.user
    pod["spec"]["securityContext"] = {
        "runAsNonRoot": user != _ROOT,
        "runAsUser": user,
        "runAsGroup": group,
        "fsGroup": group,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if plan.service_account is not None:
        pod["spec"]["serviceAccountName"] = plan.service_account
    return pod
