"""A pipeline with a Tuner, compiled for a cluster."""

from __future__ import annotations

import json

import pytest
import yaml

from data.errors import RefusedError
from pipeline.cluster.check_places import list_steps
from pipeline.cluster.config import NODES
from pipeline.config import load_config, preset_path, validate_config

pytestmark = pytest.mark.slow

TUNER = "tuner={max_trials: 3, space: {trainer.learning_rate: {min: 1.0e-3, max: 1.0e-2, sampling: log}}}"


@pytest.fixture(scope="module")
def compiled():
    from pipeline.cluster.compile_spec import compile_pipeline

    return compile_pipeline(load_config(preset_path("digits"), [TUNER, "kubeflow.components.Tuner.cpu='3'"]))


def _task(compiled, node):
    return compiled.spec["root"]["dag"]["tasks"][node]


def test_backends_take_it(compiled):
    from pipeline.cluster.lint_spec import lint_documents

    assert lint_documents(list(yaml.safe_load_all(compiled.to_yaml()))) == []


def test_the_tuner_stands_between_transform_and_trainer(compiled):
    assert set(compiled.spec["root"]["dag"]["tasks"]) == set(NODES)
    artifacts = _task(compiled, "Trainer")["inputs"]["artifacts"]
    source = artifacts["hyperparameters"]["taskOutputArtifact"]
    assert (source["producerTask"], source["outputArtifactKey"]) == ("Tuner", "best_hyperparameters")
    examples = _task(compiled, "Tuner")["inputs"]["artifacts"]["examples"]["taskOutputArtifact"]
    assert examples["producerTask"] == "Transform"
    container = compiled.spec["deploymentSpec"]["executors"]["Tuner_executor"]["container"]
    assert container["resources"]["resourceCpuRequest"] == "3"


def test_runtime_parameters_reach_it_and_keep_the_space(compiled):
    from pipeline.cluster.prepare_properties import merge_overrides

    parameters = _task(compiled, "Tuner")["inputs"]["parameters"]
    assert {"trainer_epochs", "trainer_batch_size"} <= set(parameters)
    custom = parameters["custom_config"]["runtimeValue"]["constant"]
    merged = merge_overrides({"custom_config": custom}, ["trainer.batch_size=7", "evaluation.gate_split=val"])
    properties = json.loads(merged["custom_config"])
    assert json.loads(properties["config"])["trainer"]["batch_size"] == 7
    assert list(json.loads(properties["tuner"])["space"]) == ["trainer.learning_rate"]
    assert len(properties["code_fingerprint"]) == 64


def test_without_the_section_there_is_no_such_step(tree):
    assert "Tuner" not in list_steps(validate_config(tree))


def test_a_data_set_without_validation_is_refused(tree):
    from pipeline.cluster.compile_spec import compile_pipeline

    tree["data"]["root"] = "s3://images/streets"
    tree["evaluation"] = {"splits": ["test"]}
    tree["kubeflow"] = {"image": "x:1", "has_validation": False}
    tree["tuner"] = {"space": {"trainer.batch_size": {"choice": [2, 4]}}}
    with pytest.raises(RefusedError, match="tuner: needs a val split"):
        compile_pipeline(validate_config(tree))
