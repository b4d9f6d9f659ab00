"""Brings images and masks to the working size and predictions back to each image's own size.

All of it samples on one grid: the centre of pixel i of n lies at (i + 0.5) / n of the side, so that an
image, its mask and its prediction stay aligned whatever the sizes (what ``tf.image.resize`` and Pillow do).
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from data.decode_image import BitDepth


def content_size(
    height: int | tf.Tensor, width: int | tf.Tensor, to_height: int, to_width: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns how much of a frame an image fills that is scaled to fit and keeps its shape.

    Args:
        height: of the image, in pixels.
        width: of the image, in pixels.
        to_height: of the frame.
        to_width: of the frame.

    Returns:
        int32 scalars (height, width): the valid area, in the frame's top left corner. One of the two is
        the frame's own; the other is rounded half up and at least 1.
    """
    rows, columns = tf.cast(height, tf.int64), tf.cast(width, tf.int64)
    fitted_height = tf.minimum(_divide_rounded(rows * to_width, columns), to_height)
    fitted_width = tf.minimum(_divide_rounded(columns * to_height, rows), to_width)
    return tf.cast(tf.maximum(fitted_height, 1), tf.int32), tf.cast(tf.maximum(fitted_width, 1), tf.int32)


def letterbox_image(
    image: tf.Tensor, height: int, width: int, fill: tf.Tensor, bit_depth: BitDepth = 8
) -> tf.Tensor:
    """Scales an image to fit a frame and pads it at the bottom and on the right.

    Enlarging is bilinear; shrinking averages with a triangle as wide as the step, so nothing aliases.

    Args:
        image: float32 [any height, any width, 3] in 0 to 255.
        height: of the frame, in pixels.
        width: of the frame, in pixels.
        fill: float32 [3], the padding's colour: the channel mean.
        bit_depth: the depth of the records. The result is rounded to what they can hold, so that training
            (which reads records) and serving (which does not) see the same numbers.

    Returns:
        float32 [height, width, 3] in 0 to 255.
    """
    content = resize_content(image, height, width, bit_depth)
    size = tf.shape(content)
    padded = tf.pad(content, [[0, height - size[0]], [0, width - size[1]], [0, 0]])
    is_content = _content_area(size[0], size[1], height, width)[..., tf.newaxis]
    framed = tf.where(is_content, padded, round_to_depth(tf.cast(fill, tf.float32), bit_depth))
    return tf.ensure_shape(framed, [height, width, 3])


def resize_content(image: tf.Tensor, height: int, width: int, bit_depth: BitDepth = 8) -> tf.Tensor:
    """Returns the letterboxed image without its padding: float32 [<= height, <= width, 3]."""
    size = tf.shape(image)
    content = tf.stack(content_size(size[0], size[1], height, width))
    resized = tf.image.resize(image, content, method="bilinear", antialias=True)
    return round_to_depth(resized, bit_depth)


def letterbox_mask(mask: tf.Tensor, height: int, width: int, ignore_id: int) -> tf.Tensor:
    """Scales a mask to fit a frame, the way its image is, and pads it with void.

    Args:
        mask: uint8 [any height, any width] of class ids.
        height: of the frame, in pixels.
        width: of the frame, in pixels.
        ignore_id: the id of void.

    Returns:
        uint8 [height, width]; each pixel has the id of the nearest pixel of the mask.
    """
    size = tf.shape(mask)
    rows, columns = content_size(size[0], size[1], height, width)
    content = tf.gather(mask, nearest_pixels(size[0], rows), axis=0)
    content = tf.gather(content, nearest_pixels(size[1], columns), axis=1)
    paddings = [[0, height - rows], [0, width - columns]]
    padded = tf.pad(content, paddings, constant_values=tf.cast(ignore_id, tf.uint8))
    return tf.ensure_shape(padded, [height, width])


def restore_logits(logits: tf.Tensor, native_height: tf.Tensor, native_width: tf.Tensor) -> tf.Tensor:
    """Undoes the letterbox for the network's output.

    Args:
        logits: float32 [height, width, classes] at the working size.
        native_height: int32 scalar, of the image as it was before ``letterbox_image``.
        native_width: int32 scalar.

    Returns:
        float32 [native_height, native_width, classes]: the valid area, resized bilinearly.
    """
    return restore_rows(logits, native_height, native_width, 0, native_height)


def restore_rows(
    logits: tf.Tensor,
    native_height: int | tf.Tensor,
    native_width: int | tf.Tensor,
    first_row: int | tf.Tensor,
    row_count: int | tf.Tensor,
) -> tf.Tensor:
    """Returns some rows of what ``restore_logits`` returns: float32 [row_count, native_width, classes].

    At the size of a large photograph logits are far larger than the photograph itself; who takes them in
    bands of rows never holds them all. Rows beyond the image are 0.
    """
    height, width, _ = logits.shape
    if height is None or width is None:
        raise ValueError("restoring needs logits of a static working size")
    rows, columns = content_size(native_height, native_width, height, width)
    scale = [native_height / rows, native_width / columns]
    return resize_window(logits[:rows, :columns], scale, [-first_row, 0], [row_count, native_width])


def resize_window(values: tf.Tensor, scale: Any, offset: Any, size: Any) -> tf.Tensor:
    """Resizes as ``tf.image.resize`` does (bilinear, antialiased), and returns a window of the result.

    Args:
        values: float32 [height, width, channels].
        scale: new pixels an old one, vertically and horizontally.
        offset: where the old origin lies in the window, in new pixels.
        size: of the window, in new pixels.

    Returns:
        float32 [height, width, channels] of the window's size.
    """
    window = tf.raw_ops.ScaleAndTranslate(
        images=values[tf.newaxis],
        size=tf.stack([tf.cast(side, tf.int32) for side in size]),
        scale=tf.stack([tf.cast(factor, tf.float32) for factor in scale]),
        translation=tf.stack([tf.cast(side, tf.float32) for side in offset]),
        kernel_type="triangle",
        antialias=True,
    )[0]
    return tf.ensure_shape(window, [None, None, values.shape[-1]])


def nearest_pixels(length: tf.Tensor, to_length: tf.Tensor) -> tf.Tensor:
    """Returns int32 [to_length]: for each new pixel the old pixel that its centre falls into.

    Where a centre falls between two pixels (halving a side, say) the one nearer to the middle is taken, so
    that what is symmetric stays so. Integer arithmetic, therefore the same everywhere.
    """
    old, new = tf.cast(length, tf.int64), tf.cast(to_length, tf.int64)
    centres = (2 * tf.range(new) + 1) * old
    is_between = centres % (2 * new) == 0
    is_behind_middle = centres > new * old
    pixels = centres // (2 * new) - tf.cast(is_between & is_behind_middle, tf.int64)
    return tf.cast(pixels, tf.int32)


def round_to_depth(image: tf.Tensor, bit_depth: BitDepth) -> tf.Tensor:
    """Rounds values in 0 to 255 to what a PNG of that depth holds: multiples of 1, or of 1/257."""
    levels = 1 if bit_depth == 8 else 257
    return tf.round(tf.clip_by_value(image, 0, 255) * levels) / levels


def _divide_rounded(dividend: tf.Tensor, divisor: tf.Tensor) -> tf.Tensor:
    return (2 * dividend + divisor) // (2 * divisor)


def _content_area(rows: tf.Tensor, columns: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Returns bool [height, width], true in the valid area."""
    return tf.logical_and(tf.range(height)[:, tf.newaxis] < rows, tf.range(width)[tf.newaxis, :] < columns)
