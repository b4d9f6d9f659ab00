"""Flips, scales and windows of one command: those of the model, but for what its options say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from data.errors import Problem, RefusedError
from trainer.inference_config import InferenceConfig

_FORMS = {
    "--scales": "Give numbers from 0.25 to 4, with commas: 0.75,1,1.25; or 1 for none",
    "--window": "Give HEIGHTxWIDTH in pixels from 32 to 8192, 512x768 say; or off",
}


@dataclass(frozen=True)
class InferenceOptions:
    """What the command line says; None is nothing.

    Attributes:
        flip: with the mirrored image; False takes away every flip.
        scales: numbers with commas between them.
        window: ``HEIGHTxWIDTH``, or ``off``.
    """

    flip: bool | None = None
    scales: str | None = None
    window: str | None = None


def choose_inference(built_in: InferenceConfig, options: InferenceOptions) -> InferenceConfig:
    """Returns the inference of a command.

    Args:
        built_in: the model's.
        options: what is to be otherwise.

    Raises:
        RefusedError: an option is of another form, or out of bounds.
    """
    inference = built_in
    if options.flip is not None:
        vertical = built_in.flip_vertical and options.flip
        inference = inference.model_copy(update={"flip_horizontal": options.flip, "flip_vertical": vertical})
    if options.scales is not None:
        scales = options.scales.split(",")
        if not all(re.fullmatch(r"\s*\d+(\.\d*)?\s*", scale) for scale in scales):
            raise _refuse("--scales", options.scales, "is no list of numbers")
        inference = _change(
            inference, "--scales", options.scales, scales=tuple(float(scale) for scale in scales)
        )
    if options.window is not None:
        sides = re.fullmatch(r"(\d{1,5})x(\d{1,5})", options.window)
        if sides is None and options.window != "off":
            raise _refuse("--window", options.window, "is no size of windows")
        height, width = (int(sides[1]), int(sides[2])) if sides else (None, None)
        inference = _change(
            inference, "--window", options.window, window_height_px=height, window_width_px=width
        )
    return inference


def _change(inference: InferenceConfig, option: str, text: str, **changes: Any) -> InferenceConfig:
    """Returns a validated copy."""
    try:
        return InferenceConfig.model_validate({**inference.model_dump(), **changes})
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise _refuse(option, text, f"will not do ({reason})") from None


def _refuse(option: str, text: str, what: str) -> RefusedError:
    return RefusedError([Problem(f"{option} {text}", what, _FORMS[option], "bad_option")])
