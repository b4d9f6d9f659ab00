"""Which keys may be set anew for each run, and how."""

from __future__ import annotations

import pytest

from data.errors import RefusedError
from pipeline.cluster.runtime_parameters import list_parameters
from pipeline.config import validate_config


def _by_name(tree, **sections):
    return {one.name: one for one in list_parameters(validate_config({**tree, **sections}))}


def test_defaults_are_what_is_configured(tree):
    found = _by_name(tree, trainer={"epochs": 7, "learning_rate": 0.5, "batch_size": 3})
    assert (found["trainer_epochs"].type, found["trainer_epochs"].default) == ("NUMBER_INTEGER", 7)
    assert (found["trainer_learning_rate"].type, found["trainer_learning_rate"].default) == (
        "NUMBER_DOUBLE",
        0.5,
    )
    assert found["trainer_batch_size"].default == 3
    assert (found["data_root"].key, found["data_root"].default) == ("data.root", "images-and-masks")


def test_a_key_that_is_not_set_is_an_empty_text(tree):
    found = _by_name(tree, data_gate={"max_drift": None})
    assert (found["data_gate_max_drift"].type, found["data_gate_max_drift"].default) == ("STRING", "")
    assert found["trainer_max_minutes"].type == "STRING"


def test_there_is_one_for_every_gate(tree):
    gates = {"floors": {"iou/thing": 0.25, "mean_iou": 0.5}, "max_drop": {"mean_iou": 0.1}}
    found = _by_name(tree, evaluation={"gates": gates})
    assert found["gate_floor_iou_thing"].key == "evaluation.gates.floors.iou/thing"
    assert found["gate_floor_mean_iou"].default == 0.5
    assert found["gate_max_drop_mean_iou"].key == "evaluation.gates.max_drop.mean_iou"


def test_they_are_sorted_and_go_to_the_steps_that_read_them(tree):
    parameters = list_parameters(validate_config(tree))
    assert [one.name for one in parameters] == sorted(one.name for one in parameters)
    readers = {one.name: one.readers for one in parameters}
    assert readers["data_root"] == ("DatasetSnapshot", "SegmentationExampleGen", "RunReport")
    assert readers["trainer_epochs"] == ("Tuner", "Trainer", "RunReport")


def test_placeholders_are_those_of_the_launcher(tree):
    assert _by_name(tree)["trainer_epochs"].placeholder == "{{$.inputs.parameters['trainer_epochs']}}"


def test_classes_whose_names_come_to_the_same_parameter_are_refused(tree):
    tree["data"]["classes"] = [{"id": 0, "name": "a-b"}, {"id": 1, "name": "a b"}]
    gates = {"floors": {"iou/a-b": 0.1, "iou/a b": 0.1}}
    with pytest.raises(RefusedError, match="gate_floor_iou_a_b"):
        list_parameters(validate_config({**tree, "evaluation": {"gates": gates}}))


def test_a_class_that_no_key_can_name_has_no_parameter(tree):
    tree["data"]["classes"][1]["name"] = "Ph.D."
    gates = {"floors": {"iou/Ph.D.": 0.1}}
    assert not [name for name in _by_name(tree, evaluation={"gates": gates}) if name.startswith("gate_floor")]
