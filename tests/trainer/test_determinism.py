"""What a training's record says of whether it repeats, and TensorFlow's switch."""

from __future__ import annotations

import pytest
from tensorflow.python.framework import config as framework_config

from trainer.config import TrainerConfig
from trainer.determinism import describe_determinism, force_determinism


@pytest.mark.parametrize(
    ("settings", "devices", "bit_equal", "says"),
    [
        ({}, ["CPU:0"], True, "one CPU device"),
        ({"max_minutes": 5}, ["CPU:0"], False, "max_minutes"),
        ({}, ["CPU:0", "CPU:1"], False, "2 devices"),
        ({}, ["GPU:0"], False, "unless trainer.deterministic"),
        ({"deterministic": True}, ["GPU:0"], True, "trainer.deterministic"),
        ({"deterministic": True}, ["GPU:0", "GPU:1"], False, "2 devices"),
        ({"deterministic": True, "max_minutes": 5}, ["GPU:0"], False, "max_minutes"),
    ],
)
def test_what_repeats(settings: dict, devices: list[str], bit_equal: bool, says: str) -> None:
    found = describe_determinism(TrainerConfig(**settings), devices)
    assert found.bit_equal is bit_equal and says in found.reason


def test_switch_is_on_inside_only() -> None:
    is_on = framework_config.is_op_determinism_enabled
    with force_determinism(False):
        assert not is_on()
    with pytest.raises(ValueError, match="broken"), force_determinism(True):
        assert is_on()
        raise ValueError("broken")
    assert not is_on()


def test_switch_that_was_on_stays_on() -> None:
    with force_determinism(True):
        with force_determinism(True):
            pass
        assert framework_config.is_op_determinism_enabled()
    assert not framework_config.is_op_determinism_enabled()
