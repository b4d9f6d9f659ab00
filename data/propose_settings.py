"""Settings that suit a data set's sizes and counts, for a first run that ends on any machine."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from data.assign_splits import SPLIT_NAMES, split_of
from data.check_report import CheckReport
from data.config import SplitConfig

WORKING_PIXELS = 45_000
"""About what two processor cores can train on: 240x184."""
_MULTIPLE, _LARGEST_SIDE = 8, 8192
_FEW_IMAGES = 10
_USUAL_SKEW = 0.3
_SALTS_TRIED = 1000


@dataclass(frozen=True)
class ProposedSettings:
    """Settings of the sections that follow the data set's.

    Attributes:
        height_px: the working size's height; width_px: its width.
        batch_size: for the trainer; epochs and max_minutes likewise.
        flip_horizontal: whether mirrored images are still true.
        max_void_share: for the data gate.
        max_split_skew: for the data gate; None where the splits are too unlike to compare.
        splits: what is evaluated.
        gate_split: what decides about the push.
        mean_iou_floor: what a model must reach.
        mean_iou_max_drop: how much worse than the served one it may be.
        smoke_test_images: at most the gate split's.
    """

    height_px: int
    width_px: int
    batch_size: int
    epochs: int
    max_minutes: float
    flip_horizontal: bool
    max_void_share: float
    max_split_skew: float | None
    splits: tuple[str, ...]
    gate_split: str
    mean_iou_floor: float
    mean_iou_max_drop: float
    smoke_test_images: int


def propose_settings(report: CheckReport) -> ProposedSettings:
    """Returns settings for a data set as a check found it."""
    width, height = propose_working_size(report.sizes)
    counts = {name: split.pairs for name, split in report.splits.items()}
    train = counts.get("train", 0)
    evaluated = tuple(name for name in ("val", "test") if counts.get(name)) or ("train",)
    gate = evaluated[-1]
    small = width * height <= 16_384
    return ProposedSettings(
        height_px=height,
        width_px=width,
        batch_size=max(1, min(32 if small else 8, train // 4)),
        epochs=100 if train < 1000 else 40 if train < 10_000 else 15,
        max_minutes=8,
        flip_horizontal=not _has_glyphs(report.class_names),
        max_void_share=0.95 if report.largest_void_share <= 0.95 else 1.0,
        max_split_skew=propose_max_skew(report.split_distances),
        splits=evaluated,
        gate_split=gate,
        mean_iou_floor=0.2 if len(report.class_names) <= 30 else 0.05,
        mean_iou_max_drop=0.01 if counts.get(gate, 0) >= 500 else 0.02,
        smoke_test_images=max(1, min(8, counts.get(gate, 1))),
    )


def propose_working_size(sizes: Sequence[tuple[tuple[int, int], int]]) -> tuple[int, int]:
    """Returns (width, height): multiples of 8, of the images' usual shape, at most about 45,000 pixels.

    Args:
        sizes: ((width, height), images).
    """
    if not sizes:
        return 128, 128
    width = statistics.median_low([width for (width, _), images in sizes for _ in range(images)])
    height = statistics.median_low([height for (_, height), images in sizes for _ in range(images)])
    if width * height <= WORKING_PIXELS:
        return _round_up(width), _round_up(height)
    scale = (WORKING_PIXELS / (width * height)) ** 0.5
    # The longer side goes down to a multiple and the other follows it, so that little is padded.
    longer = min(_LARGEST_SIDE, int(max(width, height) * scale) // _MULTIPLE * _MULTIPLE)
    shorter = _round_up(min(width, height) * longer / max(width, height))
    return (longer, shorter) if width >= height else (shorter, longer)


def propose_max_skew(distances: Mapping[str, Mapping[str, float]]) -> float | None:
    """Returns a limit that this data set passes with room to spare, None if that would limit nothing.

    The gate's statistics come from another library's histograms, which find up to 0.15 more.
    """
    largest = max((value for of_split in distances.values() for value in of_split.values()), default=0.0)
    if largest > 0.5:
        return None
    return max(_USUAL_SKEW, math.ceil(round((largest + 0.2) * 20, 6)) / 20)


def propose_splits(image_ids: Sequence[str]) -> SplitConfig:
    """Returns shares, and a salt under which every split gets about its share even of a few images."""
    count = len(image_ids)
    shares = {"train": 0.6, "val": 0.4, "test": 0.0} if count < _FEW_IMAGES else {}
    for salt in ["", *map(str, range(1, _SALTS_TRIED))]:
        config = SplitConfig.model_validate({**shares, "salt": salt})
        assigned = [split_of(image_id, config) for image_id in image_ids]
        wanted = {name: getattr(config, name) * count for name in SPLIT_NAMES}
        if all(assigned.count(name) >= min(0.7 * wanted[name], wanted[name]) for name in SPLIT_NAMES) and all(
            assigned.count(name) > 0 for name in SPLIT_NAMES if wanted[name]
        ):
            return config
    return SplitConfig.model_validate(shares)


def _round_up(length: float) -> int:
    return max(_MULTIPLE, -(-round(length) // _MULTIPLE) * _MULTIPLE)


def _has_glyphs(names: Sequence[str]) -> bool:
    """Says whether any class is a digit or a letter: a mirrored one is another, or none."""
    bare = [name.lower().removeprefix("digit").removeprefix("letter").strip(" _-") for name in names]
    return any(len(name) == 1 and name.isalnum() for name in bare)
