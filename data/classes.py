"""The class table: ids, names and colours of what a mask's pixels can be."""

from __future__ import annotations

import colorsys
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.config import DataConfig

VOID_COLOUR = (0, 0, 0)
BACKGROUND_COLOUR = (72, 76, 84)
_BACKGROUND_NAMES = ("background", "_background_", "bg", "other")
_GOLDEN_RATIO = 0.618033988749895


@dataclass(frozen=True)
class SegmentationClass:
    """One class: its id in masks and predictions, its name, and its RGB colour in pictures."""

    id: int
    name: str
    colour: tuple[int, int, int]


@dataclass(frozen=True)
class ClassTable:
    """All classes, in the order of their ids 0, 1, 2, ..., and the id of void pixels."""

    classes: tuple[SegmentationClass, ...]
    ignore_id: int

    def __len__(self) -> int:
        return len(self.classes)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The classes' names, in the order of their ids."""
        return tuple(entry.name for entry in self.classes)

    def palette(self) -> NDArray[np.uint8]:
        """Returns the RGB colour of every id, uint8 [256, 3]; ids of no class (void) are black."""
        colours = np.full((256, 3), VOID_COLOUR, np.uint8)
        for entry in self.classes:
            colours[entry.id] = entry.colour
        return colours

    def to_json(self) -> dict[str, Any]:
        """Returns ``{"classes": [{"id", "name", "colour"}, ...], "ignore_id": int}``."""
        rows = [{**asdict(entry), "colour": list(entry.colour)} for entry in self.classes]
        return {"classes": rows, "ignore_id": self.ignore_id}

    @staticmethod
    def from_json(document: dict[str, Any]) -> ClassTable:
        """Returns the table that ``to_json`` described."""
        rows = tuple(
            SegmentationClass(row["id"], row["name"], (row["colour"][0], row["colour"][1], row["colour"][2]))
            for row in document["classes"]
        )
        return ClassTable(rows, document["ignore_id"])


def build_class_table(config: DataConfig) -> ClassTable:
    """Returns the class table of a configuration, with distinct colours where it gives none."""
    taken = {entry.colour for entry in config.classes if entry.colour is not None} | {VOID_COLOUR}
    rows = []
    for entry in config.classes:
        colour = entry.colour
        if colour is None:
            quiet = entry.name.lower() in _BACKGROUND_NAMES and BACKGROUND_COLOUR not in taken
            colour = BACKGROUND_COLOUR if quiet else _choose_colour(entry.id, taken)
            taken.add(colour)
        rows.append(SegmentationClass(entry.id, entry.name, colour))
    return ClassTable(tuple(rows), config.ignore_id)


def _choose_colour(class_id: int, taken: set[tuple[int, int, int]]) -> tuple[int, int, int]:
    """Steps around the hues by the golden ratio, so that neighbouring ids differ and ids can be added."""
    step = class_id
    while True:
        hue = (step * _GOLDEN_RATIO) % 1
        saturation, value = ((0.75, 0.95), (0.55, 0.75), (0.9, 0.6))[step % 3]
        red, green, blue = (round(channel * 255) for channel in colorsys.hsv_to_rgb(hue, saturation, value))
        if (red, green, blue) not in taken:
            return red, green, blue
        step += 255
