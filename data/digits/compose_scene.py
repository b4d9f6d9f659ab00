"""One scene of the embedded sample: scanned digits drawn into a crop of a photograph, and its mask."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from data.digits.load_sources import SplitSources

VOID_ID = 255
MAX_DIGITS = 4

# Scenes of many digits are the larger ones.
_SIDE_PX = {1: (72, 96), 2: (72, 96), 3: (80, 96), 4: (86, 96)}
_DIGIT_SIZE_PX = {1: (44, 66), 2: (36, 50), 3: (30, 42), 4: (28, 38)}
_LUMA_STEP = {"low": (70, 100), "high": (110, 170)}
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_ROTATION_DEGREES = 12.0
_PLACING_ATTEMPTS = 60
# Ink of the enlarged scan: nothing below the first, opaque above the second. The stroke's border, where
# it is half transparent, is void: no label is right there.
_INK_EDGE = (0.26, 0.46)
_VOID_COVER = (0.15, 0.60)

Image8 = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Scene:
    """An image with its mask and its image-level attributes.

    Attributes:
        image: uint8 [height, width, 3].
        mask: uint8 [height, width]; 0 background, 1 to 10 the digits 0 to 9, 255 void.
        digits: ``few`` (one or two) or ``many``.
        contrast: ``low`` or ``high``.
    """

    image: Image8
    mask: Image8
    digits: str
    contrast: str


def compose_scene(sources: SplitSources, scans: npt.NDArray[np.int64], rng: np.random.Generator) -> Scene:
    """Draws up to ``MAX_DIGITS`` scans into a crop of one of the split's photographs.

    Args:
        sources: the scans and photographs of the scene's split.
        scans: int64 [MAX_DIGITS], places in ``sources.scans``: the digits to draw, in this order.
        rng: everything random comes from it.
    """
    wanted = int(rng.integers(1, MAX_DIGITS + 1))
    height, width = (int(side) for side in rng.integers(*_SIDE_PX[wanted], size=2, endpoint=True))
    canvas = _crop_background(sources.photos, height, width, rng)
    mask = np.zeros((height, width), np.uint8)
    contrast = "low" if rng.random() < 0.4 else "high"
    boxes: list[tuple[int, int, int]] = []
    for scan in scans[:wanted]:
        size = int(rng.integers(*_DIGIT_SIZE_PX[wanted], endpoint=True))
        place = _find_place(size, height, width, boxes, rng)
        if place is None:
            continue
        boxes.append((*place, size))
        window = np.s_[place[0] : place[0] + size, place[1] : place[1] + size]
        cover = _enlarge_scan(sources.scans[scan], size, rng)
        canvas[window] = _blend(canvas[window], cover, contrast, rng)
        label = np.uint8(1 + sources.digits[scan])
        mask[window] = np.where(cover >= _VOID_COVER[1], label, mask[window])
        mask[window] = np.where((cover >= _VOID_COVER[0]) & (cover < _VOID_COVER[1]), VOID_ID, mask[window])
    image = np.clip(np.rint(canvas), 0, 255).astype(np.uint8)
    return Scene(image, mask, "few" if len(boxes) <= 2 else "many", contrast)


def _crop_background(photos: tuple[Image8, ...], height: int, width: int, rng: np.random.Generator) -> Plane:
    """Returns float32 [height, width, 3]: a crop, enlarged up to twice, perhaps mirrored."""
    photo = photos[rng.integers(len(photos))]
    zoom = rng.uniform(1.0, 2.0)
    rows, columns = math.ceil(height / zoom), math.ceil(width / zoom)
    top = rng.integers(photo.shape[0] - rows + 1)
    left = rng.integers(photo.shape[1] - columns + 1)
    crop = photo[top : top + rows, left : left + columns]
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    enlarged = Image.fromarray(np.ascontiguousarray(crop)).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(enlarged, np.float32)


def _find_place(
    size: int, height: int, width: int, taken: list[tuple[int, int, int]], rng: np.random.Generator
) -> tuple[int, int] | None:
    """Returns (top, left) of a square that overlaps no other, or None if none was found."""
    limits = (height - size + 1, width - size + 1)
    for top, left in rng.integers(limits, size=(_PLACING_ATTEMPTS, 2)).tolist():
        if all(
            top + size <= other_top
            or other_top + other_size <= top
            or left + size <= other_left
            or other_left + other_size <= left
            for other_top, other_left, other_size in taken
        ):
            return top, left
    return None


def _enlarge_scan(scan: Plane, size: int, rng: np.random.Generator) -> Plane:
    """Returns float32 [size, size]: how far the ink covers each pixel, 0 to 1, turned a little."""
    angle = math.radians(rng.uniform(-_ROTATION_DEGREES, _ROTATION_DEGREES))
    # A turned scan still fits: the ink seldom reaches the scan's corners.
    step = (8 + 0.75) / size
    stretch = rng.uniform(0.85, 1.15)
    across, down = step / min(stretch, 1), step * max(stretch, 1)
    cos, sin = math.cos(angle), math.sin(angle)
    matrix = (across * cos, across * sin, -down * sin, down * cos)
    centre_px, pad_px = size / 2, 4
    shift_x = 4 + pad_px - centre_px * (matrix[0] + matrix[1])
    shift_y = 4 + pad_px - centre_px * (matrix[2] + matrix[3])
    padded = Image.fromarray(np.pad(scan, pad_px))
    coefficients = (matrix[0], matrix[1], shift_x, matrix[2], matrix[3], shift_y)
    ink = padded.transform((size, size), Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC)
    cover = (np.asarray(ink, np.float32) - _INK_EDGE[0]) / (_INK_EDGE[1] - _INK_EDGE[0])
    return np.clip(cover, 0, 1)


def _blend(window: Plane, cover: Plane, contrast: str, rng: np.random.Generator) -> Plane:
    """Returns the window [size, size, 3] with ink that is lighter or darker than what it covers."""
    around = float((window @ _LUMA)[cover > 0.5].mean()) if (cover > 0.5).any() else float(window.mean())
    step = rng.uniform(*_LUMA_STEP[contrast])
    directions = [sign for sign in (-1, 1) if 0 <= around + sign * step <= 255]
    sign = directions[rng.integers(len(directions))] if directions else (1 if around < 128 else -1)
    tint = rng.uniform(-30, 30, size=3).astype(np.float32)
    tint -= float(tint @ _LUMA)
    colour = np.clip(around + sign * step + tint, 0, 255)
    # Ink keeps a little of the texture under it.
    ink = colour + 0.15 * (window - around)
    return window + cover[..., None] * (ink - window)
