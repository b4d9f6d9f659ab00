"""Which values and colours the mask files of an unknown data set hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from data.decode_mask import Colour, read_values
from data.map_processes import map_processes
from data.open_files import read_bytes
from data.open_image import MASK_FORMATS, UnreadableImageError, open_image

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
        content = read_bytes(path)
        image = open_image(content, MASK_FORMATS)
    except (OSError, UnreadableImageError):
        return "unreadable", {}, {}
    try:
        values = read_values(image, content)
    except UnreadableImageError:
        return "colour", {}, _count_colours(image)
    found, pixels = np.unique(values, return_counts=True)
    counted = dict(zip(found[:_MOST_VALUES].tolist(), pixels[:_MOST_VALUES].tolist(), strict=True))
    return "palette" if image.mode == "P" else "grey", counted, {}


def _count_colours(image: Image.Image) -> dict[Colour, int]:
    pixels = np.asarray(image.convert("RGB"), np.uint32)
    packed, counts = np.unique(
        pixels[..., 0] << 16 | pixels[..., 1] << 8 | pixels[..., 2], return_counts=True
    )
    pairs = zip(packed[:_MOST_VALUES].tolist(), counts[:_MOST_VALUES].tolist(), strict=True)
    return {(colour >> 16, colour >> 8 & 255, colour & 255): count for colour, count in pairs}
