"""From a mask file of any encoding to class ids, and back to a file."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.config import DataConfig, MaskEncoding
from data.open_image import MASK_FORMATS, UnreadableImageError, open_image

Colour = tuple[int, int, int]
_UNKNOWN = -1
_MAX_VALUE = 65535


@dataclass(frozen=True)
class DecodedMask:
    """A mask in class ids.

    Attributes:
        class_ids: uint8 [height, width]; void pixels, and those of unknown values, have the ignore id.
        unknown: value or RGB colour that the class table does not name -> its pixels.
        is_canonical: the file is an 8-bit grey PNG that holds exactly ``class_ids`` already.
    """

    class_ids: NDArray[np.uint8]
    unknown: Mapping[int | Colour, int]
    is_canonical: bool

    @property
    def unknown_pixels(self) -> int:
        """How many pixels have a value that the class table does not name."""
        return sum(self.unknown.values())


@dataclass(frozen=True)
class MaskCodec:
    """What the values (or colours) of mask files mean.

    Attributes:
        encoding: how a file tells its classes.
        values: (value in the file, class id), void among them; empty for RGB masks.
        colours: (RGB colour, class id), void among them; empty for the other encodings.
        num_classes: so many classes there are; their ids are 0 to num_classes - 1.
        ignore_id: what void becomes.
    """

    encoding: MaskEncoding
    values: tuple[tuple[int, int], ...]
    colours: tuple[tuple[Colour, int], ...]
    num_classes: int
    ignore_id: int

    def decode(self, mask_bytes: bytes) -> DecodedMask:
        """Decodes a mask file.

        Raises:
            UnreadableImageError: if it is no whole image, or of another kind than the encoding says.
        """
        image = open_image(mask_bytes, MASK_FORMATS)
        if self.encoding == "rgb":
            return self._decode_colours(image)
        return self._decode_values(read_values(image, mask_bytes), _is_grey_png(mask_bytes))

    def _decode_values(self, values: NDArray[np.integer], is_grey_png: bool) -> DecodedMask:
        class_ids = self._id_of_value[values]
        is_unknown = class_ids == _UNKNOWN
        unknown: dict[int | Colour, int] = {}
        if is_unknown.any():
            found, pixels = np.unique(values[is_unknown], return_counts=True)
            unknown = dict(zip(found.tolist(), pixels.tolist(), strict=True))
            class_ids[is_unknown] = self.ignore_id
        is_canonical = is_grey_png and not unknown and bool((class_ids == values).all())
        return DecodedMask(class_ids.astype(np.uint8), unknown, is_canonical)

    def _decode_colours(self, image: Image.Image) -> DecodedMask:
        pixels = np.asarray(image.convert("RGB"), np.uint32)
        packed = (pixels[..., 0] << 16) | (pixels[..., 1] << 8) | pixels[..., 2]
        known, ids = self._sorted_colours
        place = np.minimum(np.searchsorted(known, packed), len(known) - 1)
        is_unknown = known[place] != packed
        class_ids = ids[place]
        unknown: dict[int | Colour, int] = {}
        if is_unknown.any():
            class_ids[is_unknown] = self.ignore_id
            found, counts = np.unique(packed[is_unknown], return_counts=True)
            for colour, count in zip(found.tolist(), counts.tolist(), strict=True):
                unknown[colour >> 16, colour >> 8 & 255, colour & 255] = count
        return DecodedMask(class_ids, unknown, is_canonical=False)

    @cached_property
    def _id_of_value(self) -> NDArray[np.int16]:
        table = np.full(_MAX_VALUE + 1, _UNKNOWN, np.int16)
        for value, class_id in self.values:
            table[value] = class_id
        return table

    @cached_property
    def _sorted_colours(self) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
        packed = {red << 16 | green << 8 | blue: class_id for (red, green, blue), class_id in self.colours}
        order = sorted(packed)
        return np.array(order, np.uint32), np.array([packed[key] for key in order], np.uint8)


def build_mask_codec(config: DataConfig) -> MaskCodec:
    """Returns the codec that a configuration describes; where it says nothing, values are ids."""
    values: dict[int, int] = {}
    colours: dict[Colour, int] = {}
    if config.mask_encoding == "rgb":
        colours = {colour: config.ignore_id for colour in config.void_colours}
        colours |= {entry.colour: entry.id for entry in config.classes if entry.colour is not None}
    else:
        values = {value: config.ignore_id for value in config.void_values if 0 <= value <= _MAX_VALUE}
        for entry in config.classes:
            taken = entry.mask_values if entry.mask_values is not None else config.unsaid_values(entry.id)
            values |= {value: entry.id for value in taken if 0 <= value <= _MAX_VALUE}
    return MaskCodec(
        config.mask_encoding,
        tuple(sorted(values.items())),
        tuple(sorted(colours.items())),
        len(config.classes),
        config.ignore_id,
    )


def read_values(image: Image.Image, content: bytes) -> NDArray[np.integer]:
    """Returns the value of every pixel of an id, palette or binary mask, [height, width].

    A palette image's value is the index, not the colour. RGB is taken where its channels are equal.

    Raises:
        UnreadableImageError: if the mask is a colour picture.
    """
    if image.mode in ("L", "P", "I;16", "1"):
        values = np.asarray(image, np.uint8 if image.mode == "1" else None)
        step = _grey_step(image, content)
        return values if step == 1 else values // step
    if image.mode in ("I", "I;16B", "I;16L"):
        return np.clip(np.asarray(image.convert("I")), 0, _MAX_VALUE)
    if image.mode in ("LA", "PA"):
        return np.asarray(image.getchannel(0))
    pixels = np.asarray(image.convert("RGB"))
    if (pixels == pixels[..., :1]).all():
        return pixels[..., 0]
    what = "is a colour picture, while the masks should hold one value a pixel"
    remedy = "Set data.mask_encoding to rgb and give every class its colour, or replace the mask"
    raise UnreadableImageError("mask_is_colour", what, remedy)


def encode_id_mask(class_ids: NDArray[np.uint8]) -> bytes:
    """Returns an 8-bit grey PNG of class ids, uint8 [height, width]."""
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(class_ids, np.uint8)).save(stream, "PNG", compress_level=4)
    return stream.getvalue()


def _is_grey_png(content: bytes) -> bool:
    """Says whether a file is a PNG of one 8-bit grey channel: bit depth 8 and colour type 0 in its IHDR."""
    return content.startswith(b"\x89PNG") and content[12:16] == b"IHDR" and content[24:26] == b"\x08\x00"


def _grey_step(image: Image.Image, content: bytes) -> int:
    """Returns what Pillow multiplied a grey PNG's values by: it widens 2 and 4 bits to the range of 8."""
    if image.mode != "L" or not content.startswith(b"\x89PNG"):
        return 1
    return {2: 85, 4: 17}.get(content[24], 1)
