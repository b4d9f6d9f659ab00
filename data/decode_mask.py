"""From a mask file of any encoding to class ids, and back to a file."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.config import DataConfig, MaskEncoding
from data.count_colours import Colour, ColourCounts, cut_strips, pack_colours
from data.open_image import MASK_FORMATS, UnreadableImageError, open_image
from data.read_mask_values import MAX_VALUE, read_values, refuse_inexact_mask

_UNKNOWN = -1
_MOST_UNKNOWN = 1000


@dataclass(frozen=True)
class DecodedMask:
    """A mask in class ids.

    Attributes:
        class_ids: uint8 [height, width]; void pixels, and those of unknown values, have the ignore id.
        unknown: value or RGB colour that the class table does not name -> its pixels; the thousand most
            frequent ones.
        unknown_pixels: how many pixels have a value or colour that the class table does not name.
        unknown_values: how many such values or colours there are.
        is_canonical: the file is an 8-bit grey PNG that holds exactly ``class_ids`` already.
    """

    class_ids: NDArray[np.uint8]
    unknown: Mapping[int | Colour, int]
    unknown_pixels: int
    unknown_values: int
    is_canonical: bool


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
            refuse_inexact_mask(image, mask_bytes)
            return self._decode_colours(image)
        return self._decode_values(read_values(image, mask_bytes), _is_grey_png(mask_bytes))

    def _decode_values(self, values: NDArray[np.integer], is_grey_png: bool) -> DecodedMask:
        class_ids = np.empty(values.shape, np.uint8)
        unknown: Counter[int | Colour] = Counter()
        is_canonical = is_grey_png
        for rows in cut_strips(*values.shape):
            strip = values[rows]
            ids = self._id_of_value[strip] if strip.dtype.itemsize < 4 else self._look_up(strip)
            is_unknown = ids == _UNKNOWN
            if is_unknown.any():
                found, pixels = np.unique(strip[is_unknown], return_counts=True)
                unknown.update(dict(zip(found.tolist(), pixels.tolist(), strict=True)))
                ids[is_unknown] = self.ignore_id
                is_canonical = False
            is_canonical = is_canonical and bool((ids == strip).all())
            class_ids[rows] = ids
        shown = dict(unknown.most_common(_MOST_UNKNOWN))
        return DecodedMask(class_ids, shown, unknown.total(), len(unknown), is_canonical)

    def _look_up(self, values: NDArray[np.integer]) -> NDArray[np.int16]:
        """Returns ids of values that may lie outside of 16 bits."""
        is_inside = (values >= 0) & (values <= MAX_VALUE)
        ids: NDArray[np.int16] = self._id_of_value[np.where(is_inside, values, 0)]
        ids[~is_inside] = _UNKNOWN
        return ids

    def _decode_colours(self, image: Image.Image) -> DecodedMask:
        if image.mode.startswith("I"):
            what, remedy = "holds numbers, not colours", "Set data.mask_encoding to id, or replace the mask"
            raise UnreadableImageError("unsupported_mask", what, remedy)
        class_ids = np.empty((image.height, image.width), np.uint8)
        known, ids = self._sorted_colours
        unknown = ColourCounts()
        for rows in cut_strips(*class_ids.shape):
            packed = pack_colours(image, rows)
            place = np.minimum(np.searchsorted(known, packed), len(known) - 1)
            is_unknown = known[place] != packed
            strip = ids[place]
            if is_unknown.any():
                strip[is_unknown] = self.ignore_id
                unknown.add(packed[is_unknown])
            class_ids[rows] = strip
        shown: dict[int | Colour, int] = {
            colour: pixels for colour, pixels in unknown.list_frequent(_MOST_UNKNOWN).items()
        }
        return DecodedMask(class_ids, shown, unknown.total_pixels, len(unknown), is_canonical=False)

    @cached_property
    def _id_of_value(self) -> NDArray[np.int16]:
        table = np.full(MAX_VALUE + 1, _UNKNOWN, np.int16)
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
        values = {value: config.ignore_id for value in config.void_values if 0 <= value <= MAX_VALUE}
        for entry in config.classes:
            taken = entry.mask_values if entry.mask_values is not None else config.unsaid_values(entry.id)
            values |= {value: entry.id for value in taken if 0 <= value <= MAX_VALUE}
    return MaskCodec(
        config.mask_encoding,
        tuple(sorted(values.items())),
        tuple(sorted(colours.items())),
        len(config.classes),
        config.ignore_id,
    )


def encode_id_mask(class_ids: NDArray[np.uint8]) -> bytes:
    """Returns an 8-bit grey PNG of class ids, uint8 [height, width]."""
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(class_ids, np.uint8)).save(stream, "PNG", compress_level=4)
    return stream.getvalue()


def _is_grey_png(content: bytes) -> bool:
    """Says whether a file is a PNG of one 8-bit grey channel: bit depth 8 and colour type 0 in its IHDR."""
    return content.startswith(b"\x89PNG") and content[12:16] == b"IHDR" and content[24:26] == b"\x08\x00"
