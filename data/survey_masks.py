"""Which values and colours the mask files of an unknown data set hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from data.count_colours import Colour, count_colours
from data.map_processes import map_processes
from data.open_files import read_bytes
from data.open_image import MASK_FORMATS, MAX_FILE_BYTES, UnreadableImageError, open_image
from data.read_mask_values import read_values

MaskKind = Literal["grey", "palette", "colour", "unreadable"]
_MOST_VALUES = 1000


@dataclass(frozen=True)
class MaskSurvey:
    """What the masks looked at hold.

    Attributes:
        kinds: how many masks are grey, palette or colour pictures, or unreadable.
        values: value -> pixels, of grey and palette masks.
        colours: RGB colour -> pixels, of colour masks.
        masks_of_value: value or colour -> masks that hold it.
    """

    kinds: Mapping[MaskKind, int]
    values: Mapping[int, int]
    colours: Mapping[Colour, int]
    masks_of_value: Mapping[int | Colour, int]


def survey_masks(paths: Sequence[str], workers: int | None = None) -> MaskSurvey:
    """Opens mask files and counts what is in them."""
    kinds: Counter[MaskKind] = Counter()
    values: Counter[int] = Counter()
    colours: Counter[Colour] = Counter()
    masks_of_value: Counter[int | Colour] = Counter()
    for kind, found_values, found_colours in map_processes(_survey_mask, paths, "look at masks", workers):
        kinds[kind] += 1
        values.update(found_values)
        colours.update(found_colours)
        masks_of_value.update(found_values.keys() | found_colours.keys())
    return MaskSurvey(dict(kinds), dict(values), dict(colours), dict(masks_of_value))


def _survey_mask(path: str) -> tuple[MaskKind, dict[int, int], dict[Colour, int]]:
    try:
        content = read_bytes(path, MAX_FILE_BYTES)
        image = open_image(content, MASK_FORMATS)
    except (OSError, UnreadableImageError):
        return "unreadable", {}, {}
    try:
        values = read_values(image, content)
    except UnreadableImageError as error:
        if error.code != "mask_is_colour":
            return "unreadable", {}, {}
        return "colour", {}, count_colours(image).list_first(_MOST_VALUES)
    found, pixels = np.unique(values, return_counts=True)
    counted = dict(zip(found[:_MOST_VALUES].tolist(), pixels[:_MOST_VALUES].tolist(), strict=True))
    return "palette" if image.mode == "P" else "grey", counted, {}
