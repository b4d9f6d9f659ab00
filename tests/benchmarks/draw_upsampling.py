"""Draws what each way of upsampling makes of a smooth picture with random weights.

Usage: python tests/benchmarks/draw_upsampling.py OUT.png

Two steps by 2, three channels, the same random weights for all that have some. A naive transposed convolution
and naive sub-pixels show a checkerboard; those of trainer/upsampling.py do not.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from PIL import Image, ImageDraw

from trainer.deconvolution import Deconvolution2D
from trainer.upsampling import RepeatedKernel, ResizeConvolution2D, SubPixelConvolution2D

STEPS = 2
SIDE_PX = 20
SHOWN_PX = 240


def random_kernel() -> Any:
    """Random weights with a positive mean, so that the picture stays a picture."""
    return keras.initializers.RandomUniform(-0.1, 0.3, seed=4)


WAYS: dict[str, Callable[[], Any]] = {
    "transposed, random": lambda: Deconvolution2D(2, kernel_initializer=random_kernel()),
    "transposed, bilinear start": lambda: Deconvolution2D(2),
    "sub-pixels, random": lambda: SubPixelConvolution2D(2, kernel_initializer=random_kernel()),
    "sub-pixels, ICNR": lambda: SubPixelConvolution2D(
        2, kernel_initializer=RepeatedKernel(2, random_kernel())
    ),
    "resize, then convolve": lambda: ResizeConvolution2D(2, kernel_initializer=random_kernel()),
}


def draw_source() -> np.ndarray:
    """Returns a smooth picture: float32 [side, side, 3], 0 to 1."""
    rows, columns = np.mgrid[:SIDE_PX, :SIDE_PX] / SIDE_PX
    disc = 1 / (1 + np.exp(30 * (np.hypot(rows - 0.5, columns - 0.5) - 0.3)))
    return np.stack([0.25 + 0.6 * disc, 0.3 + 0.4 * columns, 0.8 - 0.5 * disc], axis=-1).astype(np.float32)


def to_panel(pixels: np.ndarray) -> Image.Image:
    """Cuts the borders off, stretches to the whole range and enlarges pixel by pixel."""
    border = pixels.shape[0] // 10
    inside = pixels[border:-border, border:-border]
    low, high = inside.min(axis=(0, 1)), inside.max(axis=(0, 1))
    stretched = (255 * (inside - low) / (high - low)).astype(np.uint8)
    return Image.fromarray(stretched).resize((SHOWN_PX, SHOWN_PX), Image.Resampling.NEAREST)


def main(path: Path) -> None:
    """Draws the panels side by side."""
    source = draw_source()
    panels = {"input": source}
    for name, make in WAYS.items():
        pixels: Any = source[np.newaxis]
        for _ in range(STEPS):
            pixels = make()(pixels)
        panels[name] = np.asarray(pixels)[0]
    picture = Image.new("RGB", (len(panels) * (SHOWN_PX + 8) - 8, SHOWN_PX + 24), "white")
    draw = ImageDraw.Draw(picture)
    for index, (name, pixels) in enumerate(panels.items()):
        left = index * (SHOWN_PX + 8)
        draw.text((left, 4), name, fill="black", font_size=14)
        picture.paste(to_panel(pixels), (left, 24))
    picture.save(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
