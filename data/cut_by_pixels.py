"""Cutting batches of encoded images so that little is decoded at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

MAX_BATCH_PIXELS = 32_000_000
"""An image takes up to 16 bytes a pixel while it is decoded: half a gigabyte."""


def cut_by_pixels(
    pixels: Sequence[int], max_images: int, max_pixels: int = MAX_BATCH_PIXELS
) -> Iterator[slice]:
    """Yields which images in a row go together: as many as the bounds allow, one at least.

    Args:
        pixels: of each image, at its own size.
        max_images: of a batch.
        max_pixels: of a batch, unless one image alone has more.
    """
    start = total = 0
    for index, count in enumerate(pixels):
        if index > start and (index - start == max_images or total + count > max_pixels):
            yield slice(start, index)
            start, total = index, 0
        total += count
    if start < len(pixels):
        yield slice(start, len(pixels))
