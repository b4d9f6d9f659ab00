"""Weights to start from: where they are looked for, and that other ones train again."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.errors import RefusedError
from pipeline.cluster.check_places import ClusterPlaces, check_places
from pipeline.config import load_config
from pipeline.workspace import Workspace


@pytest.fixture
def config_with(tree, write_yaml):
    """Loads a configuration whose training starts from some weights."""

    def load(weights: str):
        tree["trainer"] = {"model": {"weights": weights}}
        return load_config(write_yaml(tree))

    return load


@pytest.mark.parametrize("name", ["none", "s3://models/serving/boxes/3"])
def test_what_is_no_path_of_this_machine_stays_as_it_is(config_with, name):
    assert config_with(name).trainer.model.weights == name


def test_a_relative_path_starts_at_the_yaml_file(config_with, tree, write_yaml):
    weights = config_with("serving/boxes/3").trainer.model.weights
    assert Path(weights) == write_yaml(tree).parent.resolve() / "serving/boxes/3"


def test_weights_that_no_pod_can_see_are_refused(config_with):
    with pytest.raises(RefusedError) as caught:
        check_places(config_with("serving/boxes/3"))
    assert "trainer.model.weights" in {problem.where for problem in caught.value.problems}


@pytest.mark.slow
def test_other_content_is_another_training(config_with, tmp_path):
    from pipeline.dag import _describe_weights

    file, workspace = tmp_path / "net.weights.h5", Workspace(tmp_path / "workspace")
    config = config_with(str(file))
    with pytest.raises(RefusedError, match=r"trainer\.model\.weights: is .*, which is not there"):
        _describe_weights(config, workspace)
    # It may lie on a volume that only the cluster's steps see.
    assert _describe_weights(config, ClusterPlaces(config, tmp_path)) == {}
    file.write_bytes(b"first")
    first = _describe_weights(config, workspace)
    file.write_bytes(b"other")
    other = _describe_weights(config, workspace)
    assert first.keys() == other.keys() == {"weights_fingerprint"} and first != other
    assert _describe_weights(config_with("none"), workspace) == {}
