"""Large made-up aerial photographs and their masks: thousands of small things, and grain everywhere.

The same index and size always give the same files. A corner beyond the flight strip is black, and void.
"""

from __future__ import annotations

import functools
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from data.map_processes import map_processes

CLASSES = ("ground", "road", "building", "tree", "vehicle")
VOID = 255

_GROUND, _ROAD, _BUILDING, _TREE, _VEHICLE = range(5)
_COLOURS = {
    _GROUND: (118, 128, 88),
    _ROAD: (122, 120, 118),
    _BUILDING: (168, 104, 84),
    _TREE: (46, 84, 44),
    _VEHICLE: (208, 210, 214),
}
_GRAIN_PX = 1024
_GRAIN_LEVELS = 14.0
_PIXELS_A_THING = 6_000
"""4,000 things on 24 megapixels."""


def write_aerial_scenes(root: Path, count: int, height_px: int, width_px: int) -> dict[str, int]:
    """Writes ``images/<split>/*.jpg`` and ``masks/<split>/*.png``; returns the labelled pixels of each split.

    A twentieth of the scenes each, one at least, goes to val and to test.
    """
    held = max(1, count // 20)
    splits = ["val"] * held + ["test"] * held + ["train"] * (count - 2 * held)
    for kind in ("images", "masks"):
        for split in set(splits):
            (root / kind / split).mkdir(parents=True)
    write = partial(_write_scene, root, height_px, width_px)
    labelled = map_processes(write, list(enumerate(splits)), "write scenes")
    return {
        split: sum(pixels for pixels, own in zip(labelled, splits, strict=True) if own == split)
        for split in ("train", "val", "test")
    }


def _write_scene(root: Path, height_px: int, width_px: int, scene: tuple[int, str]) -> int:
    """Writes one pair of files and returns how many of its pixels are not void."""
    index, split = scene
    image, mask = draw_scene(index, height_px, width_px)
    Image.fromarray(image).save(root / "images" / split / f"scene_{index:03d}.jpg", quality=85)
    path = root / "masks" / split / f"scene_{index:03d}.png"
    Image.fromarray(mask).save(path, compress_level=1)
    return int((mask != VOID).sum())


def draw_scene(index: int, height_px: int, width_px: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Returns a scene, uint8 [height, width, 3], and its class ids, uint8 [height, width]."""
    random = np.random.default_rng(index)
    picture = Image.new("RGB", (width_px, height_px), _COLOURS[_GROUND])
    mask = Image.new("L", (width_px, height_px), _GROUND)
    brushes = ImageDraw.Draw(picture), ImageDraw.Draw(mask)
    for _ in range(4):
        ends = [tuple(random.uniform(-0.1, 1.1, 2) * (width_px, height_px)) for _ in range(2)]
        width = int(random.integers(40, 90))
        brushes[0].line(ends, _shade(_ROAD, random), width)
        brushes[1].line(ends, _ROAD, width)
    for _ in range(height_px * width_px // _PIXELS_A_THING):
        kind = int(random.choice([_BUILDING, _TREE, _VEHICLE], p=[0.25, 0.6, 0.15]))
        _draw_thing(brushes, kind, random.uniform(0, 1, 2) * (width_px, height_px), random)
    cut = random.uniform(0.05, 0.3, 2) * (width_px, height_px)
    corner = [(0, 0), (int(cut[0]), 0), (0, int(cut[1]))]
    brushes[1].polygon(corner, VOID)
    pixels, class_ids = np.asarray(picture), np.asarray(mask)
    grainy = _add_grain(pixels, int(random.integers(_GRAIN_PX)))
    grainy[class_ids == VOID] = 0
    return grainy, class_ids


def _draw_thing(
    brushes: tuple[ImageDraw.ImageDraw, ImageDraw.ImageDraw],
    kind: int,
    centre: NDArray[np.float64],
    random: np.random.Generator,
) -> None:
    """Draws a round tree, or a building or a vehicle turned to any side."""
    fills = _shade(kind, random), kind
    if kind == _TREE:
        radius = random.uniform(8, 30)
        box = [tuple(centre - radius), tuple(centre + radius)]
        for brush, fill in zip(brushes, fills, strict=True):
            brush.ellipse(box, fill)
        return
    half = random.uniform(20, 60, 2) if kind == _BUILDING else np.array([12.0, 6.0])
    angle = random.uniform(0, np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = (np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half) @ turn.T + centre
    for brush, fill in zip(brushes, fills, strict=True):
        brush.polygon([tuple(corner) for corner in corners], fill)


def _shade(kind: int, random: np.random.Generator) -> tuple[int, ...]:
    return tuple(int(value) for value in np.array(_COLOURS[kind]) + random.integers(-24, 25, 3))


def _add_grain(pixels: NDArray[np.uint8], shift_px: int) -> NDArray[np.uint8]:
    """Adds grain to uint8 [height, width, 3], in bands of rows: noise of all of it would be gigabytes."""
    grain = np.roll(_make_grain(), shift_px, axis=(0, 1))
    columns = -(-pixels.shape[1] // _GRAIN_PX)
    grainy = np.empty_like(pixels)
    for top in range(0, len(pixels), _GRAIN_PX):
        band = pixels[top : top + _GRAIN_PX].astype(np.int16)
        band += np.tile(grain, (1, columns, 1))[: len(band), : pixels.shape[1]]
        grainy[top : top + _GRAIN_PX] = np.clip(band, 0, 255)
    return grainy


@functools.cache
def _make_grain() -> NDArray[np.int16]:
    noise = np.random.default_rng(0).normal(0, _GRAIN_LEVELS, (_GRAIN_PX, _GRAIN_PX, 3))
    return noise.round().astype(np.int16)
