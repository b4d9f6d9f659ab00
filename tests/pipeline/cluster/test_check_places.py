"""Places that no pod can see are refused before anything is compiled."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.errors import RefusedError
from pipeline.cluster.check_places import ClusterPlaces, check_places, find_serving_root
from pipeline.config import load_config, preset_path, validate_config


def _refusals(tree, **sections):
    merged = {**tree, **{key: {**tree.get(key, {}), **value} for key, value in sections.items()}}
    try:
        check_places(validate_config(merged))
    except RefusedError as error:
        return {problem.where: problem.sentence() for problem in error.problems}
    return {}


MOUNTED = {"defaults": {"volumes": [{"mount_path": "/mnt/data", "claim": "data"}]}}


def test_the_sample_needs_nothing():
    check_places(load_config(preset_path("digits")))


def test_a_folder_of_this_machine_is_refused_with_the_ways_out(tree):
    refused = _refusals(tree, data={"root": "/home/me/images"})
    assert set(refused) == {"data.root"}
    assert "s3://" in refused["data.root"] and "kubeflow.defaults.volumes" in refused["data.root"]


def test_a_relative_root_became_a_path_of_the_files_folder_and_is_refused(tree, write_yaml):
    tree["data"]["root"] = "images"
    with pytest.raises(RefusedError, match=r"data\.root: is .*/images"):
        check_places(load_config(write_yaml(tree)))


@pytest.mark.parametrize("root", ["s3://bucket/images", "gs://bucket/images"])
def test_stores_are_taken(tree, root):
    assert _refusals(tree, data={"root": root}) == {}


@pytest.mark.parametrize(("root", "said"), [("minio://b/x", "s3://"), ("file:///data", "without file://")])
def test_uris_that_steps_cannot_open(tree, root, said):
    assert said in _refusals(tree, data={"root": root})["data.root"]


def test_a_path_below_a_volume_is_taken(tree):
    assert _refusals(tree, data={"root": "/mnt/data/streets"}, kubeflow=MOUNTED) == {}


@pytest.mark.parametrize("root", ["/mnt/database", "/mnt", "/mnt/data/../../etc"])
def test_a_path_beside_the_volume_is_not(tree, root):
    assert set(_refusals(tree, data={"root": root}, kubeflow=MOUNTED)) == {"data.root"}


def test_the_volume_must_be_there_in_every_step_that_reads(tree):
    only_first = {"components": {"DatasetSnapshot": MOUNTED["defaults"]}}
    assert "data.root" in _refusals(tree, data={"root": "/mnt/data/x"}, kubeflow=only_first)


def test_models_are_not_pushed_to_a_folder_that_goes_with_the_pod(tree):
    section = {"serving_root": "/out/x", "defaults": {"volumes": [{"mount_path": "/out"}]}}
    assert "claim" in _refusals(tree, data={"root": "s3://b/i"}, kubeflow=section)["kubeflow.serving_root"]


def test_the_key_that_says_where_models_go_is_the_one_that_is_named(tree):
    assert set(_refusals(tree, data={"root": "s3://b/i"}, push={"root": "/models"})) == {"push.root"}


@pytest.mark.parametrize(
    ("push", "kubeflow", "expected"),
    [
        ({}, {}, ("kubeflow.serving_root", "s3://mlpipeline/deconvflow/serving")),
        ({"root": "s3://models"}, {}, ("push.root", "s3://models")),
        ({}, {"serving_root": "gs://served"}, ("kubeflow.serving_root", "gs://served")),
        # A machine's own folder, and the cluster's bucket: one file serves both.
        ({"root": "/models"}, {"serving_root": "gs://served"}, ("kubeflow.serving_root", "gs://served")),
    ],
)
def test_models_go_where_the_cluster_says_or_else_where_they_go_from_anywhere(tree, push, kubeflow, expected):
    config = validate_config({**tree, "push": push, "kubeflow": kubeflow})
    assert find_serving_root(config) == expected
    assert ClusterPlaces(config, Path("scratch")).serving("streets") == f"{expected[1]}/streets"


@pytest.mark.parametrize("url", ["http://localhost:9000", "http://127.0.0.1:9000/", "https://[::1]"])
def test_an_object_store_of_this_machine_is_refused(tree, url):
    data = {"root": "s3://b/i"}
    refused = _refusals(tree, data=data, storage={"s3_endpoint_url": url})
    assert url in refused["storage.s3_endpoint_url"]
    assert "kubeflow.defaults.environment.AWS_ENDPOINT_URL_S3" in refused["storage.s3_endpoint_url"]
    section = {"defaults": {"environment": {"AWS_ENDPOINT_URL_S3": "http://minio.kubeflow:9000"}}}
    assert _refusals(tree, data=data, storage={"s3_endpoint_url": url}, kubeflow=section) == {}


def test_an_object_store_on_the_network_is_taken(tree):
    storage = {"s3_endpoint_url": "https://localhost.example:9000"}
    assert _refusals(tree, data={"root": "s3://b/i"}, storage=storage) == {}


def test_checkpoints_where_tensorflow_cannot_write(tree):
    refused = _refusals(tree, data={"root": "s3://b/i"}, kubeflow={"checkpoint_root": "s3://b/checkpoints"})
    assert "TensorFlow does not open" in refused["kubeflow.checkpoint_root"]


def test_a_sqlite_store_is_refused_and_a_server_is_not(tree):
    root = {"root": "s3://b/i"}
    assert "metadata.store" in _refusals(tree, data=root, metadata={"store": "sqlite:////home/me/m.sqlite"})
    assert _refusals(tree, data=root, metadata={"store": "mysql://me@db.kubeflow/runs"}) == {}


def test_an_unknown_sample(tree):
    assert "digits" in _refusals(tree, data={"root": "sample:numbers"})["data.root"]


def test_places_are_named_by_the_pipeline(tree):
    config = validate_config(
        {**tree, "push": {"root": "s3://models/"}, "kubeflow": {"gate_reports": "s3://r"}}
    )
    places = ClusterPlaces(config, Path("scratch"))
    assert places.serving("streets") == "s3://models/streets"
    assert places.checkpoints("streets") == "/tmp/deconvflow/checkpoints/streets"
    assert places.gate_reports("streets") == "s3://r/streets"
    assert ClusterPlaces(validate_config(tree), Path("s")).gate_reports("streets") == ""
