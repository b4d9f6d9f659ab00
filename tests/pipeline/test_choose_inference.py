"""The options of predict over what a model has built in."""

from __future__ import annotations

import pytest

from data.errors import RefusedError
from pipeline.choose_inference import InferenceOptions, choose_inference
from trainer.inference_config import InferenceConfig

BUILT_IN = InferenceConfig(
    flip_horizontal=True,
    flip_vertical=True,
    scales=(0.5, 1.0),
    window_height_px=64,
    window_width_px=96,
    window_overlap=0.25,
)


def test_without_options_it_is_the_models() -> None:
    assert choose_inference(BUILT_IN, InferenceOptions()) is BUILT_IN


def test_each_option_changes_its_own() -> None:
    chosen = choose_inference(BUILT_IN, InferenceOptions(scales="0.75, 1,1.25"))
    assert chosen == BUILT_IN.model_copy(update={"scales": (0.75, 1.0, 1.25)})
    chosen = choose_inference(BUILT_IN, InferenceOptions(window="32x128"))
    assert chosen == BUILT_IN.model_copy(update={"window_height_px": 32, "window_width_px": 128})
    # What a mirrored image is asked for leaves the one upside down as it is; no flip is none.
    assert choose_inference(BUILT_IN, InferenceOptions(flip=True)) == BUILT_IN
    chosen = choose_inference(BUILT_IN, InferenceOptions(flip=False))
    assert chosen == BUILT_IN.model_copy(update={"flip_horizontal": False, "flip_vertical": False})
    assert choose_inference(InferenceConfig(), InferenceOptions(flip=True)).variants() == [
        (1.0, False, False),
        (1.0, False, True),
    ]


def test_everything_can_be_taken_away() -> None:
    chosen = choose_inference(BUILT_IN, InferenceOptions(flip=False, scales="1", window="off"))
    assert chosen.is_plain()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (InferenceOptions(scales="1,"), "--scales 1,: is no list of numbers"),
        (InferenceOptions(scales="nan"), "is no list of numbers"),
        (InferenceOptions(scales="1,9"), "less than or equal to 4"),
        (InferenceOptions(scales="1,1.0"), "must differ"),
        (InferenceOptions(window="512"), "--window 512: is no size of windows"),
        (InferenceOptions(window="16x64"), "greater than or equal to 32"),
    ],
)
def test_what_is_no_inference_is_refused(options: InferenceOptions, message: str) -> None:
    with pytest.raises(RefusedError) as caught:
        choose_inference(InferenceConfig(), options)
    (problem,) = caught.value.problems
    assert message in f"{problem.where}: {problem.what}" and problem.code == "bad_option"
