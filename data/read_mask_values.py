"""The values that a mask file holds, whatever kind of picture it is, or why they cannot be trusted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.count_colours import crop_rows, cut_strips
from data.open_image import UnreadableImageError

MAX_VALUE = 65535
_MASK_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "I", "I;16", "I;16B", "I;16L"})
_TIFF_BITS = 258
"""TIFF 6.0, section 8: BitsPerSample."""
_REMEDY = "Write it as an 8-bit or 16-bit grey PNG of whole numbers"


def read_values(image: Image.Image, content: bytes) -> NDArray[np.integer]:
    """Returns the value of every pixel of an id, palette or binary mask, [height, width].

    A palette image's value is the index, not the colour. RGB is taken where its channels are equal.
    Values beyond 16 bits come out as -1 and 65536.

    Raises:
        UnreadableImageError: if the mask is a colour picture, or its values are not whole or not exact.
    """
    refuse_inexact_mask(image, content)
    if image.mode in ("L", "P", "I;16", "1"):
        values = np.asarray(image, np.uint8 if image.mode == "1" else None)
        step = _grey_step(image, content)
        return values if step == 1 else values // step
    if image.mode in ("I", "I;16B", "I;16L"):
        return np.clip(np.asarray(image.convert("I")), -1, MAX_VALUE + 1)
    if image.mode in ("LA", "PA"):
        return np.asarray(image.getchannel(0))
    grey = np.empty((image.height, image.width), np.uint8)
    for rows in cut_strips(*grey.shape):
        pixels = np.asarray(crop_rows(image, rows).convert("RGB"))
        if not (pixels == pixels[..., :1]).all():
            what = "is a colour picture, while the masks should hold one value a pixel"
            remedy = "Set data.mask_encoding to rgb and give every class its colour, or replace the mask"
            raise UnreadableImageError("mask_is_colour", what, remedy)
        grey[rows] = pixels[..., 0]
    return grey


def refuse_inexact_mask(image: Image.Image, content: bytes) -> None:
    """Refuses a mask whose pixels may not be what its maker meant.

    Raises:
        UnreadableImageError: if it holds fractions, colours that depend on who converts them, values that
            a compression for photographs has changed, or more bits than are kept.
    """
    if image.mode == "F":
        what = "holds floating point numbers, which may be fractions or not numbers at all"
        raise UnreadableImageError("unsupported_mask", what, _REMEDY)
    if image.mode not in _MASK_MODES:
        what = f"is a {image.mode} image, whose values depend on the program that opens it"
        raise UnreadableImageError("unsupported_mask", what, _REMEDY)
    compression = str(image.info.get("compression", ""))
    if "jpeg" in compression or "webp" in compression:
        what = f"is compressed as {compression}, which changes values near edges"
        raise UnreadableImageError("unsupported_mask", what, _REMEDY)
    bits = _count_bits_of_channels(image, content)
    if bits > 8:
        # Pillow keeps 8 of them, and 256 would become 1.
        what = f"has several channels of {bits} bits"
        raise UnreadableImageError("unsupported_mask", what, _REMEDY)


def _count_bits_of_channels(image: Image.Image, content: bytes) -> int:
    """Returns the bits of each of several channels; 8 for a mask of one."""
    if content.startswith(b"\x89PNG"):
        return content[24] if content[25] in (2, 4, 6) else 8
    tags = getattr(image, "tag_v2", {})
    return max(tags.get(_TIFF_BITS, (8,))) if len(image.getbands()) > 1 else 8


def _grey_step(image: Image.Image, content: bytes) -> int:
    """Returns what Pillow multiplied a grey PNG's values by: it widens 2 and 4 bits to the range of 8."""
    if image.mode != "L" or not content.startswith(b"\x89PNG"):
        return 1
    return {2: 85, 4: 17}.get(content[24], 1)
