"""Writes the embedded sample as ordinary files, so that it takes the same road as a user's folder."""

from __future__ import annotations

import csv
import json
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from data.digits.compose_scene import MAX_DIGITS, Scene, compose_scene
from data.digits.load_sources import SPLITS, SplitSources, load_sources
from data.errors import Problem, RefusedError
from data.parse_json import parse_json
from data.progress import current

# Raise it whenever the same seed gives other files: samples written before are then replaced.
SAMPLE_VERSION = 1
MARKER_NAME = ".digits_sample.json"

_JPEG_SHARE = 0.25
_JPEG_QUALITY = 95
_PNG_COMPRESSION = 2


def write_digits_sample(
    root: Path, seed: int = 0, *, train: int = 1400, val: int = 200, test: int = 300
) -> Path:
    """Writes scenes of handwritten digits below ``root``, unless this very sample is already there.

    The files are ``images/{split}/scene_NNNNN.png`` (a quarter are ``.jpg``),
    ``masks/{split}/scene_NNNNN.png`` (0 background, 1 to 10 the digits 0 to 9, 255 void on the strokes'
    borders) and ``attributes.csv`` with ``image_id``, ``digits`` (few or many) and ``contrast`` (low or
    high). Images have 72 to 96 pixels a side. The same arguments give the same bytes; no scan and no
    part of a photograph is in two splits. See ``load_sources`` for where the pixels come from.

    Args:
        root: the folder; it appears whole or not at all.
        seed: everything random comes from it.
        train: scenes in the training split.
        val: scenes in the validation split.
        test: scenes in the test split.

    Returns:
        ``root``.

    Raises:
        RefusedError: ``root`` holds something that is not a sample written by this function.
    """
    marker = {"version": SAMPLE_VERSION, "seed": seed, "train": train, "val": val, "test": test}
    found = _read_marker(root)
    if found == marker:
        return root
    if found is None and root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise RefusedError([_foreign_folder(root)])
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{root.name}.", dir=root.parent) as scratch:
        fresh = Path(scratch) / "new"
        _write_splits(fresh, seed, {"train": train, "val": val, "test": test})
        (fresh / MARKER_NAME).write_text(json.dumps(marker) + "\n", encoding="utf-8")
        if root.exists():
            root.rename(Path(scratch) / "old")
        fresh.rename(root)
    return root


def _read_marker(root: Path) -> object:
    try:
        return parse_json((root / MARKER_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _foreign_folder(root: Path) -> Problem:
    return Problem(
        where=str(root),
        what="is not empty and holds no digits sample",
        remedy="Name another folder for the sample, or move what is there away",
        code="foreign_folder",
    )


def _write_splits(root: Path, seed: int, counts: dict[str, int]) -> None:
    sources = load_sources(seed)
    rows: list[tuple[str, str, str]] = []
    number = 0
    with current().stage("digits sample", total=sum(counts.values())) as stage:
        for place, split in enumerate(SPLITS):
            for kind in ("images", "masks"):
                (root / kind / split).mkdir(parents=True)
            deck = _shuffle_scans(sources[split], counts[split], np.random.default_rng([seed, 1, place]))
            for index, scans in enumerate(deck):
                rng = np.random.default_rng([seed, 2, place, index])
                scene = compose_scene(sources[split], scans, rng)
                # Numbers go on from split to split: the split's folder is no part of an image's id.
                stem = f"scene_{number:05d}"
                _write_scene(root, split, stem, scene, as_jpeg=rng.random() < _JPEG_SHARE)
                rows.append((stem, scene.digits, scene.contrast))
                number += 1
                stage.advance()
    with (root / "attributes.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("image_id", "digits", "contrast"))
        writer.writerows(rows)


def _shuffle_scans(sources: SplitSources, scenes: int, rng: np.random.Generator) -> np.ndarray:
    """Returns int64 [scenes, MAX_DIGITS]: every scan is dealt before any is dealt again."""
    wanted = scenes * MAX_DIGITS
    rounds = -(-wanted // len(sources.scans))
    deck = [rng.permutation(len(sources.scans)) for _ in range(rounds)]
    return np.concatenate(deck or [np.empty(0, np.int64)])[:wanted].reshape(scenes, MAX_DIGITS)


def _write_scene(root: Path, split: str, stem: str, scene: Scene, as_jpeg: bool) -> None:
    image = Image.fromarray(scene.image)
    if as_jpeg:
        image.save(root / "images" / split / f"{stem}.jpg", quality=_JPEG_QUALITY, subsampling=0)
    else:
        image.save(root / "images" / split / f"{stem}.png", compress_level=_PNG_COMPRESSION)
    Image.fromarray(scene.mask).save(root / "masks" / split / f"{stem}.png")
