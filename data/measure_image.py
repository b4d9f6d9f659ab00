"""One pass over the pixels of a decoded picture: their mean, and the perceptual hash of what it shows."""

from __future__ import annotations

from math import ceil

import numpy as np
from PIL import Image

from data.count_colours import crop_rows, cut_strips
from data.hash_thumbnail import SIDE_PX, hash_thumbnail

_MODES_OF_16_BITS = ("I", "I;16", "I;16B", "I;16L")

# What turns a stored picture the way it is displayed, by its EXIF orientation (TIFF 6.0, section 8).
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def measure_image(image: Image.Image, orientation: int = 1) -> tuple[float, str]:
    """Measures a picture in strips, so that a large one needs little memory beside its own.

    Args:
        image: decoded, as stored.
        orientation: EXIF orientation, 1 to 8: the hash is that of the picture as displayed.

    Returns:
        The mean over pixels and colour channels (no alpha), 0 to 255; and the hash that
        ``data.hash_thumbnail`` makes, empty where there is too little in the picture.
    """
    # As Pillow's resize(reducing_gap=1): the mean of whole blocks takes a fraction of the time.
    block = max(1, image.width // SIDE_PX), max(1, image.height // SIDE_PX)
    small = Image.new("L", (ceil(image.width / block[0]), ceil(image.height / block[1])))
    total = size = 0
    for rows in cut_strips(image.height, image.width, block[1]):
        strip, values, scale = _to_8_bits(crop_rows(image, rows))
        # Whole numbers: exact, and a fraction of the time that a mean of floats takes. 32 bits hold the sum
        # of 8-bit values of a strip, which has less than 5 million pixels.
        integer = np.uint32 if scale == 1 else np.uint64
        total, size = total + int(values.sum(dtype=integer)), size + values.size * scale
        small.paste(strip.reduce(block).convert("L"), (0, rows.start // block[1]))
    shown = (0, 0, image.width / block[0], image.height / block[1])
    thumbnail = small.resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS, shown)
    if orientation in _TURNS:
        thumbnail = thumbnail.transpose(_TURNS[orientation])
    return total / size, hash_thumbnail(np.asarray(thumbnail))


def _to_8_bits(strip: Image.Image) -> tuple[Image.Image, np.ndarray, int]:
    """Returns a strip in grey or RGB, its values, and the value that stands for 1 of 255."""
    if strip.mode in _MODES_OF_16_BITS:
        values = np.asarray(strip)
        return Image.fromarray((values // 257).astype(np.uint8)), values, 257
    mode = "L" if strip.mode in ("1", "L", "LA") else "RGB"
    strip = strip if strip.mode == mode else strip.convert(mode)
    return strip, np.asarray(strip), 1
