"""What can be asked of inference, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from trainer.inference_config import InferenceConfig
from trainer.inference_file import INFERENCE_FILE, read_inference


def test_the_default_is_one_pass() -> None:
    config = InferenceConfig()
    assert config.is_plain() and config.variants() == [(1.0, False, False)]
    assert config.describe() == "one pass"


@pytest.mark.parametrize(
    "changes",
    [
        {"flip_horizontal": True},
        {"flip_vertical": True},
        {"scales": (0.5,)},
        {"scales": (1.0, 0.5)},
        {"window_height_px": 64, "window_width_px": 32},
    ],
)
def test_each_option_alone_is_more_than_one_pass(changes: dict[str, Any]) -> None:
    assert not InferenceConfig(**changes).is_plain()


def test_every_scale_has_all_flips() -> None:
    config = InferenceConfig(flip_horizontal=True, flip_vertical=True, scales=(1.0, 1.5))
    flips = [(False, False), (False, True), (True, False), (True, True)]
    assert config.variants() == [(scale, *flip) for scale in (1.0, 1.5) for flip in flips]


def test_it_is_described_in_words() -> None:
    config = InferenceConfig(
        flip_horizontal=True, scales=(0.75, 1.0), window_height_px=64, window_width_px=96, window_overlap=0.25
    )
    assert config.describe() == (
        "horizontal flip; scales 0.75, 1; gaussian windows of 64x96 px at the native resolution, overlap 0.25"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scales": ()}, "at least 1"),
        ({"scales": (1.0, 1.0)}, "must differ"),
        ({"scales": (0.1,)}, "greater than or equal to 0.25"),
        ({"scales": (5.0,)}, "less than or equal to 4"),
        ({"window_height_px": 64}, "go together"),
        ({"window_height_px": 16, "window_width_px": 64}, "greater than or equal to 32"),
        ({"window_overlap": 1.0}, "less than or equal to 0.9"),
        ({"window_weighting": "hann"}, "'gaussian' or 'uniform'"),
        ({"flip": True}, "not permitted"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        InferenceConfig(**changes)


def test_models_say_what_was_built_in(tmp_path: Path) -> None:
    assert read_inference(str(tmp_path)) == InferenceConfig()
    path = tmp_path / INFERENCE_FILE
    path.parent.mkdir()
    config = InferenceConfig(scales=(0.5, 2.0), flip_vertical=True)
    path.write_text(config.model_dump_json(), encoding="utf-8")
    assert read_inference(str(tmp_path)) == config
    path.write_text('{"scales": [0]}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"inference\.json is damaged"):
        read_inference(str(tmp_path))
