"""What a configuration of the losses may say, and what of it goes together."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from trainer.config import TrainerConfig
from trainer.loss_config import CrossEntropyConfig, DiceConfig, FocalConfig


def test_losses_of_a_configuration_file() -> None:
    text = json.dumps({"losses": [{"name": "focal", "gamma": 1.5}, {"name": "dice", "weight": 0.5}]})
    config = TrainerConfig.model_validate_json(text, strict=True)
    assert config.losses == (FocalConfig(gamma=1.5), DiceConfig(weight=0.5))
    assert TrainerConfig.model_validate(config.model_dump(mode="json")) == config


def test_without_a_word_it_is_cross_entropy() -> None:
    assert TrainerConfig().losses == (CrossEntropyConfig(weight=1.0),)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"losses": [{"name": "dice"}, {"name": "dice"}]}, "losses must differ, repeated: dice"),
        ({"losses": [{"name": "hard_pixels", "share": 0}]}, "greater than 0"),
        ({"losses": [{"name": "hard_pixels", "min_probability": 1.5}]}, "less than or equal to 1"),
        ({"losses": [{"name": "cross_entropy", "gamma": 2}]}, "not permitted"),
        (
            {"losses": [{"name": "focal"}], "label_smoothing": 0.1},
            "label_smoothing has no effect on focal; add cross_entropy or hard_pixels",
        ),
        (
            {"losses": [{"name": "dice"}, {"name": "lovasz_softmax"}], "class_weighting": "inverse"},
            "class_weighting has no effect on dice, lovasz_softmax",
        ),
    ],
)
def test_refusals(settings: dict, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        TrainerConfig.model_validate(settings)


def test_weights_of_classes_go_with_any_loss_over_pixels() -> None:
    for name in ("cross_entropy", "focal", "hard_pixels"):
        TrainerConfig.model_validate({"losses": [{"name": name}], "class_weighting": "inverse"})
