"""Sliding windows: an image is scored piece by piece, and pieces that overlap are averaged.

The average of overlapping windows' probabilities, weighted towards their middles by a Gaussian whose standard
deviation is an eighth of their sides: Isensee et al., "nnU-Net: a self-configuring method for deep
learning-based biomedical image segmentation", Nature Methods 18, 2021, online methods, inference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

_DEVIATION_SHARE = 1 / 8


def place_windows(length_px: Any, window_px: Any, overlap: Any) -> Any:
    """Returns where windows start along a side: the fewest that overlap enough, spread evenly.

    Args:
        length_px: int32, of the side.
        window_px: int32, of a window; at most the side's length.
        overlap: float32, the share of a window that the next one covers at least, below 1.

    Returns:
        int32 [windows], the first 0, the last ending where the side does.
    """
    free = length_px - window_px
    step = tf.cast(tf.math.floor(tf.cast(window_px, tf.float32) * (1 - overlap) + 0.001), tf.int32)
    steps = -(-free // tf.maximum(step, 1))
    # Rounded half up; 64 bits do not overflow.
    index, wide = tf.cast(tf.range(steps + 1), tf.int64), tf.cast(tf.maximum(steps, 1), tf.int64)
    return tf.cast((2 * index * tf.cast(free, tf.int64) + wide) // (2 * wide), tf.int32)


def weigh_window(length_px: Any, is_gaussian: Any) -> Any:
    """Returns how much each pixel along a window's side counts: float32 [length], positive."""
    length = tf.cast(length_px, tf.float32)
    offsets = tf.range(length) - (length - 1) / 2
    gaussian = tf.exp(-0.5 * tf.square(offsets / (length * _DEVIATION_SHARE)))
    return tf.where(is_gaussian, gaussian, tf.ones_like(gaussian))


def slide_windows(
    score: Callable[[Any], Any],
    image: Any,
    window_px: Any,
    overlap: Any,
    is_gaussian: Any,
    num_classes: int,
    finish: Callable[[Any], Sequence[Any]],
) -> list[Any]:
    """Averages windows' probabilities, and hands them on in bands of rows that no further window touches.

    One row of windows is held at a time, never the probabilities of the whole image.

    Args:
        score: of a window float32 [height, width, 3] to probabilities float32 [height, width, classes].
        image: float32 [height, width, 3].
        window_px: int32 [2], height and width; what goes beyond the image is cut off.
        overlap: float32, see ``place_windows``.
        is_gaussian: bool; pixels in a window count alike otherwise.
        num_classes: of the probabilities.
        finish: of averages float32 [rows, image's width, classes] to tensors [rows, ...].

    Returns:
        What ``finish`` made, [image's height, ...] each.
    """
    size = tf.shape(image)[:2]
    window = tf.minimum(window_px, size)
    rows, columns = (place_windows(size[axis], window[axis], overlap) for axis in (0, 1))
    row_weights, column_weights = (weigh_window(window[axis], is_gaussian) for axis in (0, 1))
    column_totals = _total_weights(column_weights, columns, size[1])
    ends = tf.concat([rows[1:], size[:1]], axis=0)

    def score_row(row: Any) -> Any:
        strip = image[row : row + window[0]]

        def add_window(index: Any, sums: Any) -> tuple[Any, Any]:
            first = columns[index]
            weighted = score(strip[:, first : first + window[1]]) * column_weights[:, tf.newaxis]
            return index + 1, sums + tf.pad(weighted, [[0, 0], [first, size[1] - first - window[1]], [0, 0]])

        sums = _loop(add_window, tf.size(columns), tf.zeros([window[0], size[1], num_classes]))
        return sums / column_totals[:, tf.newaxis]

    def add_row(index: Any, sums: Any, totals: Any, *bands: Any) -> tuple[Any, ...]:
        sums += score_row(rows[index]) * row_weights[:, tf.newaxis, tf.newaxis]
        totals += row_weights
        done = ends[index] - rows[index]
        finished = finish(sums[:done] / totals[:done, tf.newaxis, tf.newaxis])
        bands = tuple(band.write(index, part) for band, part in zip(bands, finished, strict=True))
        moved = tf.pad(sums[done:], [[0, done], [0, 0], [0, 0]])
        return index + 1, moved, tf.pad(totals[done:], [[0, done]]), *bands

    empty = tf.zeros([window[0], size[1], num_classes])
    bands = [
        tf.TensorArray(part.dtype, tf.size(rows), infer_shape=False, element_shape=[None, *part.shape[1:]])
        for part in finish(empty[:1])
    ]
    *_, filled = _loop_all(add_row, tf.size(rows), empty, tf.zeros_like(row_weights), bands)
    return [band.concat() for band in filled]


def _total_weights(weights: Any, starts: Any, length: Any) -> Any:
    """Returns the sum of all windows' weights along a side, float32 [length]."""
    places = starts[:, tf.newaxis] + tf.range(tf.size(weights))
    repeated = tf.broadcast_to(weights, tf.shape(places))
    return tf.math.unsorted_segment_sum(repeated, places, length)


def _loop(body: Callable[[Any, Any], tuple[Any, Any]], count: Any, sums: Any) -> Any:
    """Returns the sums after so many turns, one after the other."""
    shape = tf.TensorShape([None, None, sums.shape[-1]])
    return tf.while_loop(
        lambda index, _: index < count,
        body,
        (tf.constant(0), sums),
        shape_invariants=(tf.TensorShape([]), shape),
        parallel_iterations=1,
    )[1]


def _loop_all(
    body: Callable[..., tuple[Any, ...]], count: Any, sums: Any, totals: Any, bands: Sequence[Any]
) -> tuple[Any, Any, Sequence[Any]]:
    """Likewise, with totals and bands."""
    shapes = (tf.TensorShape([]), tf.TensorShape([None, None, sums.shape[-1]]), tf.TensorShape([None]))
    _, sums, totals, *filled = tf.while_loop(
        lambda index, *_: index < count,
        body,
        (tf.constant(0), sums, totals, *bands),
        shape_invariants=(*shapes, *(tf.TensorShape(None) for _ in bands)),
        parallel_iterations=1,
    )
    return sums, totals, filled
