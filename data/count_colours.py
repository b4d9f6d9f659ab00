"""Counting the colours of pictures, however large, in little memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Colour = tuple[int, int, int]
_STRIP_PIXELS = 1 << 20


class ColourCounts:
    """So many pixels have each colour."""

    def __init__(self) -> None:
        self._colours: NDArray[np.uint32] = np.empty(0, np.uint32)
        self._pixels: NDArray[np.int64] = np.empty(0, np.int64)

    def __len__(self) -> int:
        return len(self._colours)

    @property
    def total_pixels(self) -> int:
        """Over all colours."""
        return int(self._pixels.sum())

    def add(self, packed: NDArray[np.uint32]) -> None:
        """Counts pixels, as ``pack_colours`` packs them."""
        colours, pixels = np.unique(packed, return_counts=True)
        both = np.concatenate([self._colours, colours])
        self._colours, place = np.unique(both, return_inverse=True)
        # Sums of floats are exact up to 2 ** 53.
        weights = np.concatenate([self._pixels, pixels])
        self._pixels = np.bincount(place.ravel(), weights, len(self._colours)).astype(np.int64)

    def list_first(self, most: int) -> dict[Colour, int]:
        """Returns colour -> pixels, in the order of red, green and blue."""
        return self._unpack(slice(0, most))

    def list_frequent(self, most: int) -> dict[Colour, int]:
        """Returns colour -> pixels, the most frequent first."""
        return self._unpack(np.argsort(-self._pixels, kind="stable")[:most])

    def _unpack(self, places: slice | NDArray[np.intp]) -> dict[Colour, int]:
        rows = zip(self._colours[places].tolist(), self._pixels[places].tolist(), strict=True)
        return {(colour >> 16, colour >> 8 & 255, colour & 255): pixels for colour, pixels in rows}


def cut_strips(height_px: int, width_px: int, multiple: int = 1) -> Iterator[slice]:
    """Yields the rows of a picture in strips: work on one of them fits into little memory.

    Args:
        height_px: of the picture.
        width_px: likewise.
        multiple: each strip but the last has a multiple of so many rows.
    """
    step = max(1, _STRIP_PIXELS // (width_px * multiple)) * multiple
    for start in range(0, height_px, step):
        yield slice(start, min(start + step, height_px))


def pack_colours(image: Image.Image, rows: slice) -> NDArray[np.uint32]:
    """Returns uint32 [rows, width]: red, green and blue in one number."""
    pixels = np.asarray(crop_rows(image, rows).convert("RGB"), np.uint32)
    packed = (pixels[..., 0] << 16) | (pixels[..., 1] << 8) | pixels[..., 2]
    return packed.astype(np.uint32, copy=False)


def crop_rows(image: Image.Image, rows: slice) -> Image.Image:
    """Returns some rows of an image; the image itself if they are all."""
    is_whole = rows.start == 0 and rows.stop == image.height
    return image if is_whole else image.crop((0, rows.start, image.width, rows.stop))


def count_colours(image: Image.Image) -> ColourCounts:
    """Returns the pixels of each RGB colour of an image."""
    counts = ColourCounts()
    for rows in cut_strips(image.height, image.width):
        counts.add(pack_colours(image, rows))
    return counts
