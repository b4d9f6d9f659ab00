"""TFJob and TrainJob as they are made: their pods by Kubernetes' schemas, their workers by ours."""

from __future__ import annotations

import json

import kubernetes_validate
import pytest

from trainer.cluster import Cluster, read_cluster


def _pod(resources):
    spec = resources[0]["spec"]
    if "tfReplicaSpecs" in spec:
        return spec["tfReplicaSpecs"]["Worker"]["template"]
    return spec["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]


@pytest.fixture(params=["tfjob", "trainjob"])
def resources(request, make_plan):
    from pipeline.cluster.job_resources import build_resources

    return build_resources(make_plan(kind=request.param, workers=3))


def test_pods_are_valid_by_the_schemas_and_within_the_restricted_profile(resources):
    pod = _pod(resources)
    document = {"apiVersion": "v1", "kind": "Pod", **pod, "metadata": {**pod["metadata"], "name": "worker"}}
    kubernetes_validate.validate(document, "1.30", strict=True)
    context, own = pod["spec"]["securityContext"], pod["spec"]["containers"][0]["securityContext"]
    assert (context["runAsNonRoot"], context["runAsUser"], context["runAsGroup"]) == (True, 10001, 0)
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own["readOnlyRootFilesystem"] is True and own["allowPrivilegeEscalation"] is False
    assert own["capabilities"] == {"drop": ["ALL"]}


def test_each_worker_gets_the_jobs_keys_before_those_of_the_trainers_step(resources):
    spec = _pod(resources)["spec"]
    (container,) = spec["containers"]
    assert container["image"] == "registry.example.org/deconvflow:1.2.3"
    assert container["resources"] == {
        "requests": {"cpu": "4", "memory": "16Gi"},
        "limits": {"memory": "16Gi", "nvidia.com/gpu": "2"},
    }
    assert spec["nodeSelector"] == {"pool": "gpu"} and spec["serviceAccountName"] == "trainer"
    assert spec["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    mounts = {one["mountPath"]: one["name"] for one in container["volumeMounts"]}
    volumes = {one["name"]: one for one in spec["volumes"]}
    assert set(mounts) == {"/mnt/work", "/tmp", "/dev/shm"} and set(mounts.values()) == set(volumes)
    assert volumes[mounts["/mnt/work"]]["persistentVolumeClaim"] == {"claimName": "work"}
    assert volumes[mounts["/dev/shm"]]["emptyDir"] == {"medium": "Memory", "sizeLimit": "8Gi"}
    variables = {one["name"]: one for one in container["env"]}
    assert variables["NCCL_DEBUG"]["value"] == "WARN"


def test_secrets_are_named_and_no_argument_holds_one(resources):
    (container,) = _pod(resources)["spec"]["containers"]
    assert container["command"] == ["python", "-m", "trainer.run_worker", "/mnt/work/job.json"]
    assert "args" not in container
    secret = next(one for one in container["env"] if one["name"] == "AWS_SECRET_ACCESS_KEY")
    assert secret["valueFrom"] == {"secretKeyRef": {"name": "store", "key": "key"}} and "value" not in secret


def test_a_tfjob_is_as_the_example(make_plan):
    from pipeline.cluster.job_resources import build_resources

    (job,) = build_resources(make_plan())
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v1", "TFJob")
    assert job["metadata"]["name"] == "streets-1" and job["metadata"]["namespace"] == "team"
    workers = job["spec"]["tfReplicaSpecs"]["Worker"]
    assert (workers["replicas"], workers["restartPolicy"]) == (2, "ExitCode")
    assert job["spec"]["successPolicy"] == "AllWorkers"
    (container,) = workers["template"]["spec"]["containers"]
    assert container["name"] == "tensorflow"
    assert container["ports"] == [{"name": "tfjob-port", "containerPort": 2222}]


@pytest.mark.parametrize("index", [0, 2])
def test_a_trainjobs_pods_find_each_other(make_plan, index):
    from pipeline.cluster.job_resources import build_resources

    runtime, job = build_resources(make_plan(kind="trainjob", workers=3))
    assert job["spec"]["runtimeRef"] == {
        "apiGroup": "trainer.kubeflow.org",
        "kind": "TrainingRuntime",
        "name": runtime["metadata"]["name"],
    }
    assert job["spec"]["trainer"]["numNodes"] == runtime["spec"]["mlPolicy"]["numNodes"] == 3
    environment = _pod([runtime])["spec"]["containers"][0]["env"]
    names = [one["name"] for one in environment]
    # The kubelet fills in variables that stand further up.
    assert names.index("WORKER") < names.index("TF_CONFIG")
    text = next(one["value"] for one in environment if one["name"] == "TF_CONFIG")
    hosts = tuple(f"streets-1-node-0-{pod}.streets-1:2222" for pod in range(3))
    assert read_cluster({"TF_CONFIG": text.replace("$(WORKER)", str(index))}) == Cluster(hosts, index)


def test_a_step_that_runs_as_root_has_workers_that_do(make_plan):
    from pipeline.cluster.job_resources import build_resources

    context = _pod(build_resources(make_plan(user=(0, 0))))["spec"]["securityContext"]
    assert (context["runAsNonRoot"], context["runAsUser"]) == (False, 0)


def test_the_description_in_the_pipeline_is_json_without_the_secrets_value(kubeflow, tree):
    from pipeline.cluster.hand_over_training import describe_job
    from pipeline.config import validate_config

    section = json.loads(kubeflow().model_dump_json())
    tree["trainer"] = {"batch_size": 8}
    described = json.loads(describe_job(validate_config({**tree, "kubeflow": section})))
    assert (described["pipeline"], described["kind"], described["workers"]) == ("two-classes", "tfjob", 2)
    assert described["namespace"] is None and described["service_account"] is None
