"""What a listing of a data set consists of."""

from __future__ import annotations

from dataclasses import dataclass, field

from data.assign_splits import SplitName
from data.errors import Problem

IMAGE_ENDINGS = frozenset({".png", ".jpg", ".jpeg"})
MASK_ENDINGS = frozenset({".png", ".bmp", ".gif", ".tif", ".tiff", ".jpg", ".jpeg"})
OTHER_IMAGE_ENDINGS = frozenset({".bmp", ".gif", ".tif", ".tiff", ".webp", ".heic", ".avif", ".jp2", ".ppm"})


@dataclass(frozen=True, order=True)
class Pair:
    """An image and its mask.

    Attributes:
        image_id: the image's path below the images' folder, without split folder and ending.
        split: ``train``, ``val`` or ``test``.
        image_path: the whole path of the image file.
        mask_path: the whole path of the mask file.
        attributes: image-level attributes that the layout itself tells (Cityscapes: the city).
    """

    image_id: str
    split: SplitName
    image_path: str
    mask_path: str
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Listing:
    """All pairs of a data set, and what is wrong with the way its files lie.

    Attributes:
        pairs: sorted by image id.
        problems: everything wrong that is seen without opening images.
        own_splits: whether the data set says itself which image is in which split.
        notes: what was left out on purpose, as sentences.
    """

    pairs: tuple[Pair, ...]
    problems: tuple[Problem, ...]
    own_splits: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class FoundPair:
    """A pair as a layout finds it: its split is None where the data set says nothing about it."""

    image_id: str
    split: SplitName | None
    image_path: str
    mask_path: str
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass
class Found:
    """What a layout collects.

    Attributes:
        pairs: in any order; ids may still repeat.
        problems: what is wrong with the way the files lie.
        notes: what was left out on purpose, as sentences.
        declared_splits: splits that a folder or a list announces, with that folder's or list's path.
    """

    pairs: list[FoundPair] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    declared_splits: dict[SplitName, str] = field(default_factory=dict)
