"""The examples of TFJob and TrainJob. Schemas of Kubernetes know their pods and jobs, not these kinds."""

from __future__ import annotations

import re
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from trainer.cluster import Cluster, read_cluster

FOLDER = Path(__file__).parents[2] / "kubeflow/manifests"
(TFJOB,) = yaml.safe_load_all((FOLDER / "training/tfjob.yaml").read_text())
RUNTIME, TRAINJOB = yaml.safe_load_all((FOLDER / "training/trainjob.yaml").read_text())
WORKERS = TFJOB["spec"]["tfReplicaSpecs"]["Worker"]
(NODES,) = RUNTIME["spec"]["template"]["spec"]["replicatedJobs"]
PODS = [WORKERS["template"], NODES["template"]["spec"]["template"]]


@pytest.mark.parametrize("version", ["1.30", "1.34"])
@pytest.mark.parametrize("pod", PODS)
def test_pods_are_valid_by_the_schemas(pod, version):
    document = {"apiVersion": "v1", "kind": "Pod", **pod}
    document["metadata"] = {**pod["metadata"], "name": "worker"}
    kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("version", ["1.30", "1.34"])
def test_the_runtimes_job_is_valid_by_the_schemas(version):
    metadata = {**NODES["template"]["metadata"], "name": "node"}
    document = {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": NODES["template"]["spec"],
    }  # fmt: skip
    kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("pod", PODS)
def test_pods_are_within_the_restricted_profile(pod):
    spec = pod["spec"]
    context = spec["securityContext"]
    assert context["runAsNonRoot"] is True and context["runAsUser"] > 0
    assert context["seccompProfile"]["type"] == "RuntimeDefault"
    (container,) = spec["containers"]
    own = container["securityContext"]
    assert own["allowPrivilegeEscalation"] is False and own["capabilities"] == {"drop": ["ALL"]}
    assert own["readOnlyRootFilesystem"] is True and container["resources"]["limits"]["memory"]
    assert ":" in container["image"] and not container["image"].endswith(":latest")
    claims = {one["metadata"]["name"] for one in yaml.safe_load_all((FOLDER / "volumes.yaml").read_text())}
    named = [volume["persistentVolumeClaim"] for volume in spec["volumes"] if "emptyDir" not in volume]
    assert {claim["claimName"] for claim in named} <= claims


def test_the_operators_find_their_containers():
    """TFJob takes container and port by these names; Trainer v2 job and container by these."""
    (container,) = WORKERS["template"]["spec"]["containers"]
    assert container["name"] == "tensorflow"
    assert container["ports"] == [{"name": "tfjob-port", "containerPort": 2222}]
    assert NODES["name"] == "node" and PODS[1]["spec"]["containers"][0]["name"] == "node"
    label = NODES["template"]["metadata"]["labels"]["trainer.kubeflow.org/trainjob-ancestor-step"]
    assert label == "trainer"
    assert TRAINJOB["spec"]["runtimeRef"]["name"] == RUNTIME["metadata"]["name"]


def test_lost_workers_are_started_again_and_refused_ones_are_not():
    from trainer.run_worker import AGAIN, FAILED, REFUSED

    assert WORKERS["restartPolicy"] == "ExitCode" and AGAIN >= 128 > max(REFUSED, FAILED)
    (rule,) = NODES["template"]["spec"]["podFailurePolicy"]["rules"]
    assert rule["action"] == "FailJob" and sorted(rule["onExitCodes"]["values"]) == [FAILED, REFUSED]


@pytest.mark.parametrize("index", [0, 2])
def test_the_trainjobs_pods_find_each_other(index):
    environment = {one["name"]: one.get("value") for one in PODS[1]["spec"]["containers"][0]["env"]}
    # As the kubelet fills it in, from a variable further up.
    assert list(environment) == ["WORKER", "TF_CONFIG"]
    text = re.sub(r"\$\(WORKER\)", str(index), environment["TF_CONFIG"])
    name, nodes = TRAINJOB["metadata"]["name"], TRAINJOB["spec"]["trainer"]["numNodes"]
    assert nodes == RUNTIME["spec"]["mlPolicy"]["numNodes"]
    # JobSet's names: JOBSET-JOB-NUMBER-POD, in a service named after the JobSet.
    hosts = tuple(f"{name}-{NODES['name']}-0-{pod}.{name}:2222" for pod in range(nodes))
    assert read_cluster({"TF_CONFIG": text}) == Cluster(hosts, index)
