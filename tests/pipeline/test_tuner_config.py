"""The section ``tuner`` in the whole configuration."""

from __future__ import annotations

import json

import pytest

from data.errors import RefusedError
from pipeline.config import config_json, load_config, validate_config

SPACE = {"trainer.learning_rate": {"min": 1e-4, "max": 1e-2, "sampling": "log"}}


def test_without_the_section_a_configuration_is_recorded_without_it(tree):
    assert "tuner" not in json.loads(config_json(validate_config(tree)))


def test_with_it_the_record_is_a_configuration_again(tree):
    config = validate_config({**tree, "tuner": {"space": SPACE, "algorithm": "hyperband"}})
    recorded = json.loads(config_json(config))
    assert recorded["tuner"]["space"]["trainer.learning_rate"]["max"] == 0.01
    assert validate_config(recorded) == config


def test_it_can_be_set_for_one_run(tree, write_yaml):
    config = load_config(write_yaml(tree), ["tuner={max_trials: 2, space: {trainer.seed: {choice: [1, 2]}}}"])
    assert config.tuner is not None and config.tuner.max_trials == 2
    config = load_config(
        write_yaml({**tree, "tuner": {"space": SPACE}}), ["tuner.max_trials=5", "tuner.epochs=3"]
    )
    assert config.tuner is not None and (config.tuner.max_trials, config.tuner.epochs) == (5, 3)


@pytest.mark.parametrize(
    ("section", "where"),
    [
        ({"space": {"trainer.learning_rat": {"choice": [1, 2]}}}, "tuner.space.trainer.learning_rat"),
        ({"space": {"trainer.batch_size": {"choice": [0, 2]}}}, "tuner.space.trainer.batch_size"),
        ({"space": {"trainer.batch_size": {"mim": 2}}}, "tuner.space.trainer.batch_size.mim"),
        ({"space": SPACE, "algorithm": "grid"}, "tuner.algorithm"),
        ({"space": SPACE, "trials": 3}, "tuner.trials"),
        ({"space": SPACE, "max_trials": 0}, "tuner.max_trials"),
        ({}, "tuner.space"),
    ],
)
def test_what_is_wrong_is_named_by_its_full_path(tree, section, where):
    with pytest.raises(RefusedError) as refused:
        validate_config({**tree, "tuner": section})
    assert [problem.where for problem in refused.value.problems] == [where]
