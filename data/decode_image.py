"""Decodes image and mask files in the TensorFlow graph: the same ops in Transform, training and serving."""

from __future__ import annotations

from typing import Literal

import tensorflow as tf

BitDepth = Literal[8, 16]

# JPEG markers (ITU-T T.81, table B.1).
_APP1 = 0xFFE1
_START_OF_SCAN = 0xFFDA
_FILL = 0xFFFF
_EXIF = b"Exif\0\0"

# TIFF 6.0, section 2: one entry of an image file directory is tag, type, count and value.
_ENTRY_BYTES = 12
_ORIENTATION_TAG = 0x0112
_SHORT, _LONG = 3, 4
_MAX_ENTRIES = 1024


def decode_image(encoded: tf.Tensor, bit_depth: BitDepth = 8) -> tf.Tensor:
    """Decodes a PNG or JPEG file to RGB, turned the way its EXIF orientation says.

    Grey and palette images become RGB, alpha is dropped, CMYK JPEGs are converted.

    Args:
        encoded: string scalar, the file's bytes.
        bit_depth: 8 reduces 16-bit PNGs to their upper 8 bits; 16 keeps all bits, as fractions.

    Returns:
        float32 [height, width, 3] in 0 to 255. With ``bit_depth`` 8 the values are whole numbers, with 16
        they are multiples of 1/257.

    Raises:
        tf.errors.InvalidArgumentError: neither PNG nor JPEG, or damaged.
    """
    image = tf.cond(
        tf.io.is_jpeg(encoded),
        lambda: _decode_jpeg(encoded),
        lambda: _decode_png(encoded, bit_depth),
    )
    return tf.ensure_shape(image, [None, None, 3])


def decode_mask_png(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes an 8-bit grey PNG of class ids.

    Args:
        encoded: string scalar, the file's bytes.

    Returns:
        uint8 [height, width].
    """
    return tf.io.decode_png(encoded, channels=1, dtype=tf.uint8)[..., 0]


def _decode_png(encoded: tf.Tensor, bit_depth: BitDepth) -> tf.Tensor:
    if bit_depth == 8:
        return tf.cast(tf.io.decode_png(encoded, channels=3, dtype=tf.uint8), tf.float32)
    # 8-bit files come out multiplied by 257, so that 255 is 65535.
    return tf.cast(tf.io.decode_png(encoded, channels=3, dtype=tf.uint16), tf.float32) / 257


def _decode_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    # The accurate transform is what other decoders use, so that pixels do not depend on who decodes.
    image = tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")
    upright = tf.cond(
        _mentions_exif(encoded),
        lambda: orient_image(image, read_exif_orientation(encoded)),
        lambda: image,
    )
    return tf.cast(upright, tf.float32)


def _mentions_exif(encoded: tf.Tensor) -> tf.Tensor:
    """Returns bool: one search through the bytes, so that files without EXIF cost nothing else."""
    parts = tf.raw_ops.StringSplitV2(input=encoded[tf.newaxis], sep=_EXIF, maxsplit=1).values
    return tf.size(parts) > 1


def orient_image(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turns and mirrors an image from the way it is stored to the way it is shown.

    Args:
        image: [height, width, channels], any dtype.
        orientation: int32 scalar, 1 to 8 (TIFF 6.0, tag Orientation).

    Returns:
        [height, width, channels], or [width, height, channels] for 5 to 8.
    """
    turned = tf.cond(orientation >= 5, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
    mirror = tf.reduce_any(orientation == [2, 3, 6, 7])
    upend = tf.reduce_any(orientation == [3, 4, 7, 8])
    mirrored = tf.cond(mirror, lambda: tf.reverse(turned, [1]), lambda: turned)
    return tf.cond(upend, lambda: tf.reverse(mirrored, [0]), lambda: mirrored)


def read_exif_orientation(encoded: tf.Tensor) -> tf.Tensor:
    """Returns the EXIF orientation of a JPEG file: int32 scalar, 1 where there is none or it makes no sense.

    Walks the file's segments up to the image data. (Exif 2.32, sections 4.5.4 and 4.6.4.)

    Args:
        encoded: string scalar, the file's bytes.
    """
    size = tf.strings.length(encoded)
    header = _find_exif(encoded, size)
    return tf.cond(header >= 0, lambda: _read_orientation(encoded, size, header), lambda: tf.constant(1))


def _find_exif(encoded: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Returns the offset of the TIFF header inside the first Exif segment, int32; -1 if there is none."""

    def look_further(position: tf.Tensor, found: tf.Tensor) -> tf.Tensor:
        return tf.logical_and(found < 0, position + 4 <= size)

    def read_segment(position: tf.Tensor, found: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        head = tf.strings.substr(encoded, position, 10)
        words = tf.cast(tf.io.decode_raw(head, tf.uint16, little_endian=False, fixed_length=10), tf.int32)
        marker, length = words[0], words[1]
        is_exif = tf.logical_and(marker == _APP1, tf.strings.substr(head, 4, 6) == _EXIF)
        is_end = tf.logical_or(marker == _START_OF_SCAN, marker < 0xFF00)
        step = tf.where(marker == _FILL, 1, 2 + length)
        return tf.where(is_end, size, position + step), tf.where(is_exif, position + 10, found)

    _, found = tf.while_loop(look_further, read_segment, (tf.constant(2), tf.constant(-1)))
    return found


def _read_orientation(encoded: tf.Tensor, size: tf.Tensor, header: tf.Tensor) -> tf.Tensor:
    """Returns the orientation in the first directory of the TIFF structure at ``header``."""
    magic = tf.strings.substr(encoded, header, 4)
    is_little = magic == b"II*\0"
    is_tiff = tf.logical_or(is_little, magic == b"MM\0*")
    directory = tf.cast(header, tf.int64) + _number(_read_bytes(encoded, header + 4, 4), is_little)
    is_inside = tf.logical_and(is_tiff, directory + 2 <= tf.cast(size, tf.int64))
    # A broken offset is read as if it were the header's: nothing there looks like an orientation.
    start = tf.where(is_inside, tf.cast(directory, tf.int32), header)
    count = tf.minimum(_number(_read_bytes(encoded, start, 2), is_little), _MAX_ENTRIES)
    length = tf.cast(count, tf.int32) * _ENTRY_BYTES
    entries = tf.reshape(_read_bytes(encoded, start + 2, length), [-1, _ENTRY_BYTES])
    kind = _number(entries[:, 2:4], is_little)
    value = tf.where(
        kind == _SHORT, _number(entries[:, 8:10], is_little), _number(entries[:, 8:12], is_little)
    )
    is_orientation = (
        (_number(entries[:, 0:2], is_little) == _ORIENTATION_TAG)
        & ((kind == _SHORT) | (kind == _LONG))
        & (_number(entries[:, 4:8], is_little) == 1)
        & (value >= 1)
        & (value <= 8)
        & is_inside
    )
    return tf.cast(tf.reduce_max(tf.concat([[1], tf.where(is_orientation, value, 1)], 0)), tf.int32)


def _read_bytes(encoded: tf.Tensor, start: tf.Tensor, length: int | tf.Tensor) -> tf.Tensor:
    """Returns int64 [length], the bytes from ``start`` on, zeros behind the file's end."""
    chunk = tf.strings.substr(encoded, start, length)
    # A fixed length of 0 is refused.
    padded = tf.io.decode_raw(chunk, tf.uint8, fixed_length=tf.maximum(length, 1))
    return tf.cast(padded[:length], tf.int64)


def _number(digits: tf.Tensor, is_little: tf.Tensor) -> tf.Tensor:
    """Returns int64 [...] of bytes [..., n]: the unsigned number they write in that byte order."""
    width = digits.shape[-1]
    little = [256**place for place in range(width)]
    weights = tf.where(is_little, tf.constant(little, tf.int64), tf.constant(little[::-1], tf.int64))
    return tf.reduce_sum(digits * weights, axis=-1)
