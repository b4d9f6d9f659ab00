"""The manifests: valid by Kubernetes' schemas, within the restricted Pod Security profile, no secrets."""

from __future__ import annotations

from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from pipeline.cluster.config import KubeflowConfig

FOLDER = Path(__file__).parents[2] / "kubeflow/manifests"
VERSIONS = ("1.30", "1.34")
NOT_KUBERNETES = {"kustomization.yaml", "config.yaml"}
RESTRICTED_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected",
    "secret",
}  # fmt: skip


def _resources():
    for file in sorted(FOLDER.rglob("*.yaml")):
        # Kinds of Kubeflow's own: test_training_jobs.py.
        if file.name not in NOT_KUBERNETES and file.parent.name != "training":
            for document in yaml.safe_load_all(file.read_text()):
                yield pytest.param(
                    document, id=f"{file.name}-{document['kind']}-{document['metadata']['name']}"
                )


RESOURCES = list(_resources())


def find_restricted_problems(pod):
    """Yields what the restricted Pod Security profile forbids of a pod's specification."""
    context = pod.get("securityContext", {})
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(key):
            yield key
    for volume in pod.get("volumes", []):
        kinds = set(volume) - {"name"}
        if not kinds <= RESTRICTED_VOLUMES:
            yield f"volume {kinds}"
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        own = container.get("securityContext", {})
        if own.get("privileged"):
            yield "privileged"
        if own.get("allowPrivilegeEscalation") is not False:
            yield "allowPrivilegeEscalation"
        capabilities = own.get("capabilities", {})
        if "ALL" not in capabilities.get("drop", []) or set(capabilities.get("add", [])) - {
            "NET_BIND_SERVICE"
        }:
            yield "capabilities"
        if own.get("runAsNonRoot", context.get("runAsNonRoot")) is not True:
            yield "runAsNonRoot"
        if own.get("runAsUser", context.get("runAsUser")) == 0:
            yield "runAsUser"
        profile = own.get("seccompProfile", context.get("seccompProfile", {}))
        if profile.get("type") not in ("RuntimeDefault", "Localhost"):
            yield "seccompProfile"
        if any("hostPort" in port for port in container.get("ports", [])):
            yield "hostPort"


GOOD = {
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [
        {"securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}
    ],
}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"hostPID": True}, "hostPID"),
        ({"volumes": [{"name": "x", "hostPath": {"path": "/"}}]}, "volume {'hostPath'}"),
        ({"securityContext": {"runAsNonRoot": True}}, "seccompProfile"),
        ({"containers": [{}]}, "capabilities"),
    ],
)
def test_the_checker_sees_what_is_forbidden(change, problem):
    assert list(find_restricted_problems(GOOD)) == []
    assert problem in list(find_restricted_problems(GOOD | change))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("resource", RESOURCES)
def test_manifests_are_valid_by_the_schemas(resource, version):
    kubernetes_validate.validate(resource, version, strict=True)


@pytest.mark.parametrize(
    "resource", [one for one in RESOURCES if "template" in one.values[0].get("spec", {})]
)
def test_pods_are_within_the_restricted_profile(resource):
    pod = resource["spec"]["template"]["spec"]
    assert list(find_restricted_problems(pod)) == []
    for container in pod["containers"]:
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["resources"]["limits"]["memory"]
        assert ":" in container["image"] and not container["image"].endswith(":latest")


@pytest.mark.parametrize("resource", RESOURCES)
def test_labels_and_selectors_meet(resource):
    spec = resource.get("spec", {})
    if "template" in spec:
        labels = spec["template"]["metadata"]["labels"]
        assert spec["selector"]["matchLabels"].items() <= labels.items()


def test_services_ports_and_claims_lead_somewhere():
    resources = [one.values[0] for one in RESOURCES]
    pods = [one["spec"]["template"] for one in resources if "template" in one.get("spec", {})]
    claims = {one["metadata"]["name"] for one in resources if one["kind"] == "PersistentVolumeClaim"}
    for service in (one for one in resources if one["kind"] == "Service"):
        selector = service["spec"]["selector"].items()
        (pod,) = [one for one in pods if selector <= one["metadata"]["labels"].items()]
        named = {port["name"] for one in pod["spec"]["containers"] for port in one["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= named
    for pod in pods:
        for volume in pod["spec"].get("volumes", []):
            if claim := volume.get("persistentVolumeClaim"):
                assert claim["claimName"] in claims


def test_secrets_hold_no_values():
    for resource in (one.values[0] for one in RESOURCES):
        if resource["kind"] == "Secret":
            assert "data" not in resource
            assert set(resource["stringData"].values()) == {""}


def test_the_kustomization_names_files_that_are_there():
    kustomization = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    assert all((FOLDER / name).exists() for name in kustomization["resources"])
    text = (FOLDER / "kustomization.yaml").read_text()
    assert (FOLDER / "serving.yaml").exists() and "# - serving.yaml" in text


def test_the_node_pool_fits_the_trainer_that_asks_for_it():
    section = yaml.safe_load((FOLDER / "node-pool/config.yaml").read_text())["kubeflow"]
    trainer = KubeflowConfig.model_validate(section).step("Trainer")
    node = yaml.safe_load((FOLDER / "node-pool/gpu-node.example.yaml").read_text())
    assert trainer.node_selector.items() <= node["metadata"]["labels"].items()
    (taint,) = node["spec"]["taints"]
    (toleration,) = trainer.tolerations
    assert (toleration.key, toleration.effect) == (taint["key"], taint["effect"])
    assert trainer.accelerator.count > 1 and trainer.shared_memory
    claims = [one.values[0]["metadata"]["name"] for one in RESOURCES]
    assert all(volume.claim in claims for volume in trainer.volumes)
