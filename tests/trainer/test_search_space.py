"""The search space: what is refused, and a trial's values in the configuration."""

from __future__ import annotations

import json
from typing import Any

import pytest

from data.config import AugmentConfig
from trainer.config import TrainerConfig
from trainer.search_space import find_problems, merge_values, read_values, write_choices
from trainer.tuner_config import SpaceEntry, TunerConfig

SECTIONS = {
    "trainer": TrainerConfig().model_dump(mode="json"),
    "augment": AugmentConfig().model_dump(mode="json"),
}


def _refusals(space: dict[str, Any], **trainer: Any) -> dict[str, str]:
    tuner = TunerConfig.model_validate_json(json.dumps({"space": space}), strict=True)
    problems = find_problems(tuner, TrainerConfig(**trainer), AugmentConfig())
    return {problem.where.removeprefix("tuner.space."): problem.sentence() for problem in problems}


def test_a_sound_space_has_no_problems():
    assert not _refusals(
        {
            "trainer.learning_rate": {"min": 1e-4, "max": 1e-2, "sampling": "log"},
            "trainer.batch_size": {"min": 4, "max": 16, "step": 4},
            "trainer.model.head": {"choice": ["fcn8s", "fcn16s"]},
            "trainer.ema_momentum": {"choice": [None, 0.99]},
            "trainer.losses.0.name": {"choice": ["cross_entropy", "focal"]},
            "augment.flip_horizontal": {"choice": [True, False]},
        }
    )


@pytest.mark.parametrize(
    ("key", "entry", "words"),
    [
        ("trainer.learning_rat", {"min": 0.1, "max": 0.2}, "Did you mean trainer.learning_rate?"),
        ("data.root", {"choice": ["a", "b"]}, "not a key of trainer or augment"),
        ("trainer", {"choice": [1, 2]}, "not a key of trainer or augment"),
        ("trainer.model.head.0", {"choice": [1, 2]}, "not a key of trainer or augment"),
        ("trainer.losses.7.name", {"choice": ["focal", "dice"]}, "not a key of trainer or augment"),
        ("trainer.model.head", {"choice": ["fcn8s", "fcn9s"]}, 'may become "fcn9s"'),
        ("trainer.batch_size", {"min": 0, "max": 8}, "may become 0"),
        ("trainer.batch_size", {"min": 2, "max": 8, "step": 1.5}, "has a step of 1.5"),
        ("trainer.batch_size", {"min": 1.5, "max": 8}, "may become 1.5"),
        ("augment.scale_max", {"choice": [0.5, 1.5]}, "scale_min must not exceed scale_max"),
        ("trainer.devices", {"choice": [1, 2]}, "is divided once for all trials"),
        ("trainer.epochs", {"choice": [1, 2]}, "Set tuner.epochs"),
        ("trainer.max_minutes", {"choice": [1.0, 2.0]}, "Set tuner.max_minutes"),
    ],
)
def test_what_cannot_be_tried_is_refused_by_its_key(key, entry, words):
    refusals = _refusals({key: entry, "trainer.seed": {"choice": [1, 2]}})
    assert set(refusals) == {key}
    assert words in refusals[key]


def test_candidates_are_judged_beside_the_other_keys():
    assert (
        "multiple of devices 2"
        in _refusals({"trainer.batch_size": {"choice": [3, 4]}}, devices=2)["trainer.batch_size"]
    )
    assert not _refusals({"trainer.batch_size": {"choice": [3, 4]}})


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({}, "give either choice, or min and max"),
        ({"min": 1}, "give either choice, or min and max"),
        ({"choice": [1, 2], "min": 1}, "choice stands alone"),
        ({"choice": [1]}, "at least 2"),
        ({"min": 2, "max": 2}, "must be less than max"),
        ({"min": 0, "max": 2, "sampling": "log"}, "min above 0"),
        ({"min": 1, "max": 2, "sampling": "log", "step": 1}, "more than 1"),
        ({"min": 1, "max": 2, "of": 3}, "Extra inputs"),
    ],
)
def test_an_entry_is_a_choice_or_a_range(entry, words):
    with pytest.raises(ValueError, match=words):
        SpaceEntry.model_validate_json(json.dumps(entry), strict=True)


def test_an_entry_outlives_json():
    for entry in (SpaceEntry(choice=(1, None)), SpaceEntry(min=1.0, max=2, sampling="log")):
        again = SpaceEntry.model_validate_json(entry.model_dump_json())
        assert again == entry and type(again.min) is type(entry.min)


def test_values_are_merged_and_the_sections_left_as_they_are():
    before = json.dumps(SECTIONS)
    merged = merge_values(
        SECTIONS,
        {
            "trainer.model.head": "fcn16s",
            "trainer.losses.0.name": "focal",
            "trainer.ema_momentum": "json:null",
            "augment.rotation_degrees": 2.5,
            "tuner/epochs": 3,
        },
    )
    assert json.dumps(SECTIONS) == before
    assert merged["trainer"]["model"]["head"] == "fcn16s"
    assert merged["trainer"]["losses"][0]["name"] == "focal"
    assert merged["trainer"]["ema_momentum"] is None
    assert merged["augment"]["rotation_degrees"] == 2.5
    assert set(merged) == {"trainer", "augment"}
    with pytest.raises(KeyError):
        merge_values(SECTIONS, {"trainer.nothing": 1})


@pytest.mark.parametrize(
    ("choices", "written"),
    [
        ((1, 2), [1, 2]),
        ((1, 2.5), [1.0, 2.5]),
        ((True, False), [True, False]),
        ((None, 0.5), ["json:null", "json:0.5"]),
        ((True, 1), ["json:true", "json:1"]),
        (([1], {"b": 1, "a": 2}), ["json:[1]", 'json:{"a": 2, "b": 1}']),
    ],
)
def test_choices_of_any_kind_come_back(choices, written):
    assert write_choices(SpaceEntry(choice=choices)) == written
    assert [read_values({"key": value})["key"] for value in written] == list(choices)
