"""The EXIF orientation of a picture, by the rule that the serving graph goes by."""

from __future__ import annotations

import struct

# TIFF 6.0, section 2: one entry of an image file directory is tag, type, count and value.
_ENTRY_BYTES = 12
_ORIENTATION_TAG = 0x0112
_SHORT, _LONG = 3, 4
_MAX_ENTRIES = 1024


def read_orientation(exif: bytes) -> int:
    """Returns the orientation, 1 to 8, that an EXIF block tells; 1 where it makes no sense.

    ``data.decode_image`` reads the same from the file in the graph. Pillow goes by XMP and by entries of
    other types too, which neither browsers nor the graph obey.

    Args:
        exif: the block, from ``Exif`` on.
    """
    tiff = exif[6:]
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None or len(tiff) < 8:
        return 1
    (start,) = struct.unpack_from(order + "I", tiff, 4)
    if start + 2 > len(tiff):
        return 1
    (count,) = struct.unpack_from(order + "H", tiff, start)
    found = 1
    for index in range(min(count, _MAX_ENTRIES)):
        place = start + 2 + index * _ENTRY_BYTES
        if place + _ENTRY_BYTES > len(tiff):
            break
        tag, kind, values = struct.unpack_from(order + "HHI", tiff, place)
        (value,) = struct.unpack_from(order + ("H" if kind == _SHORT else "I"), tiff, place + 8)
        if (tag, values) == (_ORIENTATION_TAG, 1) and kind in (_SHORT, _LONG) and 1 <= value <= 8:
            found = max(found, value)
    return found
