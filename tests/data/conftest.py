"""Small data sets in temporary folders."""

from __future__ import annotations

import functools
import io
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data import features
from data.config import DataConfig

Save = Callable[..., Path]


@pytest.fixture
def save() -> Save:
    """Writes an array as an image file, with its folders: save(path, array, **Pillow's options)."""

    def write(path: Path, pixels: np.ndarray, mode: str | None = None, **options: Any) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(pixels)
        (image.convert(mode) if mode else image).save(path, **options)
        return path

    return write


@pytest.fixture
def make_config() -> Callable[..., DataConfig]:
    """Makes a configuration of so many classes: make_config(root, num_classes=2, **keys)."""

    def make(root: Path | str = "nowhere", num_classes: int = 2, **keys: Any) -> DataConfig:
        rows: list[Mapping[str, Any]] = [{"id": index, "name": f"c{index}"} for index in range(num_classes)]
        return DataConfig.model_validate({"root": str(root), "classes": rows, **keys})

    return make


@pytest.fixture
def fill_folder(save: Save) -> Callable[..., Path]:
    """Writes pairs of the layout ``folder``: fill_folder(root, ["train/a", "b"]), each 6x4 and its own."""

    def fill(root: Path, names: list[str], images: str = "images", masks: str = "masks") -> Path:
        for name in names:
            generator = np.random.default_rng(list(name.encode()))
            save(root / images / f"{name}.png", generator.integers(0, 256, (4, 6, 3), np.uint8))
            save(root / masks / f"{name}.png", np.tile(np.array([[0, 1]], np.uint8), (4, 3)))
        return root

    return fill


@pytest.fixture
def encode() -> Callable[..., bytes]:
    """Encodes an array as an image's bytes: encode(array, format="PNG", mode=None, **options)."""

    def to_bytes(pixels: np.ndarray, format: str = "PNG", mode: str | None = None, **options: Any) -> bytes:
        stream = io.BytesIO()
        image = Image.fromarray(pixels)
        (image.convert(mode) if mode else image).save(stream, format, **options)
        return stream.getvalue()

    return to_bytes


@pytest.fixture
def raw_png() -> Callable[..., bytes]:
    """Writes a PNG by hand, without Pillow: raw_png(rows of packed bytes, width, bit depth, colour type)."""

    def build(rows: list[bytes], width: int, bit_depth: int, colour_type: int, palette: bytes = b"") -> bytes:
        def chunk(kind: bytes, body: bytes) -> bytes:
            return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

        header = struct.pack(">IIBBBBB", width, len(rows), bit_depth, colour_type, 0, 0, 0)
        return (
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", header)
            + (chunk(b"PLTE", palette) if palette else b"")
            + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
            + chunk(b"IEND", b"")
        )

    return build


@pytest.fixture
def sound_facts() -> Callable[[int], dict[str, Any]]:
    """Makes the facts that every data set has, by feature: sound_facts(number of sound images)."""

    def make(count: int) -> dict[str, Any]:
        return {
            features.IMAGE_FORMAT: ["png"] * count,
            features.IMAGE_SPLIT: ["train"] * count,
            features.IMAGE_HEIGHT_PX: [360] * count,
            features.IMAGE_WIDTH_PX: [480] * count,
            features.IMAGE_CHANNELS: [3] * count,
            features.IMAGE_BIT_DEPTH: [8] * count,
            features.IMAGE_MEAN: np.linspace(50, 200, count).astype(np.float32),
            features.MASK_UNKNOWN_PIXELS: [0] * count,
            features.MASK_VOID_SHARE: np.linspace(0, 0.5, count).astype(np.float32),
        }

    return make


@pytest.fixture(scope="session")
def make_picture() -> Callable[[int], Image.Image]:
    """Makes a picture of its own for each seed, RGB, 320x240: soft shapes with finer ones on them."""

    @functools.cache
    def make(seed: int) -> Image.Image:
        generator = np.random.default_rng(seed)
        picture = np.zeros((240, 320, 3))
        for cells in (3, 6, 12, 24, 48, 96):
            layer = generator.integers(0, 256, (cells, cells, 3), np.uint8)
            picture += np.asarray(Image.fromarray(layer).resize((320, 240), Image.Resampling.BICUBIC)) / cells
        low, high = picture.min(), picture.max()
        return Image.fromarray((20 + 200 * (picture - low) / (high - low)).astype(np.uint8))

    return make
