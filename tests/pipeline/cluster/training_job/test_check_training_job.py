"""What several machines cannot train is refused before anything is compiled."""

from __future__ import annotations

import pytest

from pipeline.cluster.check_training_job import find_job_problems
from pipeline.config import validate_config

WORK = {"mount_path": "/mnt/work", "claim": "work"}
GOOD = {
    "checkpoint_root": "/mnt/work/checkpoints",
    "defaults": {"volumes": [WORK]},
    "training_job": {"workers": 3, "pod": {"accelerator": {"count": 2}}},
}


@pytest.fixture
def find(tree):
    def run(trainer=None, **kubeflow):
        config = {**tree, "trainer": {"batch_size": 12, **(trainer or {})}, "kubeflow": {**GOOD, **kubeflow}}
        return {one.where: one.sentence() for one in find_job_problems(validate_config(config))}

    return run


def test_what_fits_is_taken(find):
    assert find() == {}
    assert find(checkpoint_root="gs://bucket/checkpoints", defaults={}) == {}
    assert find(training_job={"workers": 4}) == {}


def test_without_a_job_nothing_is_asked(find):
    assert find({"batch_size": 7, "devices": 7}, training_job=None, checkpoint_root="/tmp/x") == {}


def test_batches_must_divide_among_all_devices_of_all_workers(find):
    # 3 workers of 2 GPUs.
    assert "6 devices in all. Set it to a multiple of 6" in find({"batch_size": 8})["trainer.batch_size"]


def test_workers_use_all_of_their_devices(find):
    assert set(find({"devices": 2})) == {"trainer.devices"}


@pytest.mark.parametrize(
    "section",
    [
        {"checkpoint_root": "/tmp/checkpoints"},
        {"checkpoint_root": "/mnt/elsewhere"},
        {"defaults": {"volumes": [{"mount_path": "/mnt/work"}]}},
        {"training_job": {"workers": 3, "pod": {"volumes": [{"mount_path": "/mnt/work", "claim": "other"}]}}},
        {"training_job": {"workers": 3, "pod": {"volumes": [WORK, {"mount_path": "/mnt/work/checkpoints"}]}}},
    ],
)
def test_step_and_workers_must_share_a_volume(find, section):
    assert "share no claim" in find(**section)["kubeflow.checkpoint_root"]


def test_weights_must_be_where_workers_see_them(find):
    model = {"model": {"weights": "/mnt/weights/net.h5"}}
    volumes = [WORK, {"mount_path": "/mnt/weights", "claim": "weights"}]
    seen = {"defaults": {"volumes": volumes}}
    assert find(model, **seen) == {}
    unseen = {"workers": 3, "pod": {"volumes": [WORK]}}
    assert set(find(model, **seen, training_job=unseen)) == {"trainer.model.weights"}
