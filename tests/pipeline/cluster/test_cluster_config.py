"""The section kubeflow of a configuration."""

from __future__ import annotations

import pytest

from data.errors import RefusedError
from pipeline.cluster.config import KubeflowConfig, StepConfig, TrainingJobConfig, find_image_problem
from pipeline.cluster.pod_config import PodConfig, looks_secret
from pipeline.config import validate_config


def _refusal(tree, **section):
    with pytest.raises(RefusedError) as caught:
        validate_config({**tree, "kubeflow": section})
    return "\n".join(problem.sentence() for problem in caught.value.problems)


def test_a_steps_own_keys_take_the_place_of_the_defaults():
    config = KubeflowConfig(
        defaults=StepConfig(cpu="1", memory="2Gi", environment={"A": "1"}, retries=2),
        components={"Trainer": StepConfig(memory="16Gi", environment={"B": "2"})},
    )
    trainer = config.step("Trainer")
    assert (trainer.cpu, trainer.memory, trainer.retries, trainer.environment) == ("1", "16Gi", 2, {"B": "2"})
    assert config.step("Pusher") == config.defaults


def test_a_step_can_take_a_default_back():
    config = KubeflowConfig(
        defaults=StepConfig(cpu="1", retries=2), components={"Pusher": StepConfig(cpu=None, retries=0)}
    )
    assert (config.step("Pusher").cpu, config.step("Pusher").retries) == (None, 0)


def test_a_workers_own_keys_take_the_place_of_the_trainers():
    config = KubeflowConfig(
        components={"Trainer": StepConfig(cpu="1", memory="2Gi", environment={"A": "1"}, retries=2)},
        training_job=TrainingJobConfig(pod=PodConfig(memory="64Gi")),
    )
    worker = config.worker()
    assert (worker.cpu, worker.memory, worker.environment) == ("1", "64Gi", {"A": "1"})


def test_a_pipeline_without_a_training_job_is_recorded_as_before():
    assert "training_job" not in KubeflowConfig().model_dump()
    assert KubeflowConfig(training_job=TrainingJobConfig()).model_dump()["training_job"]["workers"] == 2


@pytest.mark.parametrize(
    ("section", "named"),
    [
        ({"components": {"Traner": {"cpu": "1"}}}, "Traner is no step"),
        ({"components": {"DataGate": {"cache": True}}}, "components.DataGate.cache must not be true"),
        ({"image": "registry/deconvflow"}, "not pinned to a version"),
        ({"image": "registry/deconvflow:latest"}, "latest is another image tomorrow"),
        ({"defaults": {"memory": "8 GB"}}, "kubeflow.defaults.memory"),
        ({"defaults": {"cpu": "many"}}, "kubeflow.defaults.cpu"),
        ({"defaults": {"environment": {"DB_PASSWORD": "x"}}}, "looks like a secret"),
        ({"defaults": {"environment": {"DECONVFLOW_RUN_ID": "x"}}}, "is set by deconvflow"),
        ({"defaults": {"volumes": [{"mount_path": "/dev/shm"}]}}, "shared_memory"),
        ({"defaults": {"volumes": [{"mount_path": "/d"}, {"mount_path": "/d", "claim": "c"}]}}, "different"),
        ({"defaults": {"tolerations": [{"operator": "Equal", "value": "x"}]}}, "needs a key"),
        ({"defaults": {"accelerator": {"type": "gpu"}}}, "accelerator.type"),
        ({"pipeline_root": "/data/root"}, "kubeflow.pipeline_root"),
        ({"training_job": {"kind": "pytorchjob"}}, "kubeflow.training_job.kind"),
        ({"training_job": {"image": "registry/deconvflow"}}, "not pinned to a version"),
        ({"training_job": {"pod": {"retries": 2}}}, "kubeflow.training_job.pod.retries"),
        ({"training_job": {"pod": {"environment": {"TF_CONFIG": "{}"}}}}, "TF_CONFIG is set by deconvflow"),
    ],
)
def test_what_cannot_be_is_refused_by_its_key(tree, section, named):
    assert named in _refusal(tree, **section)


@pytest.mark.parametrize(
    "image",
    [
        "deconvflow:0.1.0",
        "localhost:5000/team/deconvflow:1.2-cuda",
        "r.io/d@sha256:" + "0123456789abcdef" * 4,
    ],
)
def test_pinned_images(image):
    assert find_image_problem(image) is None


@pytest.mark.parametrize("image", ["localhost:5000/deconvflow", "deconvflow@sha256:12", "a b:1", ""])
def test_images_that_are_not_pinned_or_no_images(image):
    assert find_image_problem(image)


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("AWS_SECRET_ACCESS_KEY", True),
        ("db_password", True),
        ("HF_TOKEN", True),
        ("DECONVFLOW_METADATA_PASSWORD_FILE", False),
        ("GOOGLE_APPLICATION_CREDENTIALS", False),
        ("AWS_REGION", False),
    ],
)
def test_which_variables_look_secret(name, secret):
    assert looks_secret(name) is secret
