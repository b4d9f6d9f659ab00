"""Scenes with the entropy of photographs, drawn from their indexes alone, for data sets of any size."""

from __future__ import annotations

import itertools
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SIDE_PX = 256
CLASSES = ("ground", "plant", "vehicle", "building")
_COLOURS = bytes((96, 90, 80, 60, 130, 50, 170, 60, 60, 120, 120, 160))
_SHAPES = 9
_VALIDATION_EVERY = 10
_PNG_EVERY = 4


def make_scenes(folder: Path, count: int, workers: int | None = None) -> None:
    """Writes ``count`` pairs of 256x256 pixels: images/SPLIT, three JPEGs to a PNG, and masks/SPLIT."""
    with ProcessPoolExecutor(workers) as pool:
        for _ in pool.map(partial(_write_scene, folder), range(count), chunksize=64):
            pass


def link_scenes(source: Path, folder: Path, count: int) -> None:
    """Makes a data set of the first ``count`` pairs of another, by links."""
    for index in range(count):
        for path in scene_paths(source, index):
            target = folder / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.hardlink_to(path)


def scene_paths(folder: Path, index: int) -> tuple[Path, Path]:
    """Returns where the image and the mask of an index are; each tenth pair is for validation."""
    split = "val" if index % _VALIDATION_EVERY == _VALIDATION_EVERY - 1 else "train"
    ending = "png" if index % _PNG_EVERY == 1 else "jpg"
    name = f"scene_{index:06d}"
    return folder / f"images/{split}/{name}.{ending}", folder / f"masks/{split}/{name}.png"


def draw_scene(index: int) -> tuple[Image.Image, Image.Image]:
    """Returns an image and its mask of class ids: shapes on the ground, shaded softly, and grain on all."""
    random = np.random.default_rng(index)
    mask = Image.new("L", (SIDE_PX, SIDE_PX))
    draw = ImageDraw.Draw(mask)
    for kind, corner, size in zip(
        itertools.cycle(range(1, len(CLASSES))),
        random.integers(-30, SIDE_PX - 10, (_SHAPES, 2)).tolist(),
        random.integers(20, 90, (_SHAPES, 2)).tolist(),
        strict=False,
    ):
        box = (*corner, corner[0] + size[0], corner[1] + size[1])
        (draw.ellipse if kind == 1 else draw.rectangle)(box, fill=kind)
    coloured = mask.copy()
    coloured.putpalette(_COLOURS)
    grain = Image.fromarray(random.integers(0, 256, (SIDE_PX, SIDE_PX), dtype=np.uint8)).convert("RGB")
    image = Image.blend(coloured.convert("RGB"), _make_clouds(random, 24), 0.5)
    return Image.blend(image, grain, 0.06), mask


def _make_clouds(random: np.random.Generator, side_px: int) -> Image.Image:
    """Returns coloured noise of a coarser grid, between its points as smooth as bicubic."""
    coarse = Image.fromarray(random.integers(0, 256, (side_px, side_px, 3), dtype=np.uint8))
    return coarse.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)


def _write_scene(folder: Path, index: int) -> None:
    image, mask = draw_scene(index)
    image_path, mask_path = scene_paths(folder, index)
    for path in (image_path, mask_path):
        path.parent.mkdir(parents=True, exist_ok=True)
    image.save(image_path, **({"compress_level": 3} if image_path.suffix == ".png" else {"quality": 90}))
    mask.save(mask_path)
