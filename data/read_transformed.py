"""Reads transformed examples: the records that Transform writes and training and validation read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from data import features
from data.config import TransformConfig
from data.decode_image import BitDepth, decode_mask_png
from data.errors import Problem, RefusedError

_READ_BUFFER_BYTES = 4_000_000


@dataclass(frozen=True)
class DatasetStatistics:
    """What Transform's analysers found in the train split, and how many examples there are here.

    Attributes:
        channel_mean: float32 [3], 0 to 255.
        channel_std: float32 [3].
        class_pixels: float32 [classes], pixels of each class.
        class_image_pixels: float32 [classes], non-void pixels of the images with that class.
        example_count: examples in the files given, whatever their split.
    """

    channel_mean: npt.NDArray[np.float32]
    channel_std: npt.NDArray[np.float32]
    class_pixels: npt.NDArray[np.float32]
    class_image_pixels: npt.NDArray[np.float32]
    example_count: int


def find_files(patterns: Sequence[str]) -> list[str]:
    """Returns the sorted files that the names and patterns stand for.

    Raises:
        RefusedError: there are none.
    """
    files = sorted({file for pattern in patterns for file in tf.io.gfile.glob(pattern)})
    if not files:
        raise RefusedError([_no_examples(patterns)])
    return files


def open_records(files: Sequence[str], parallel_reads: int | None = None) -> tf.data.Dataset:
    """Returns the serialized examples of TFRecord files, in the files' order: string scalars."""
    is_compressed = {file.endswith(".gz") for file in files}
    if len(is_compressed) > 1:
        raise ValueError("files of one data set are either all compressed or none of them")
    compression = "GZIP" if is_compressed == {True} else ""
    return tf.data.TFRecordDataset(
        list(files), compression, buffer_size=_READ_BUFFER_BYTES, num_parallel_reads=parallel_reads
    )


def count_examples(files: Sequence[str]) -> int:
    """Returns how many examples TFRecord files hold."""
    counted = (
        open_records(files)
        .batch(256)
        .reduce(np.int64(0), lambda total, some: total + tf.size(some, tf.int64))
    )
    return int(counted)


def read_statistics(patterns: Sequence[str]) -> DatasetStatistics:
    """Reads what Transform found out about the train split, which every transformed example carries.

    Args:
        patterns: names of TFRecord files, or patterns.

    Raises:
        RefusedError: there are no files, or no examples in them.
    """
    files = find_files(patterns)
    keys = (features.CHANNEL_MEAN, features.CHANNEL_STD, features.CLASS_PIXELS, features.CLASS_IMAGE_PIXELS)
    for serialized in open_records(files).take(1):
        specs = {key: tf.io.VarLenFeature(tf.float32) for key in keys}
        parsed = tf.io.parse_single_example(serialized, specs)
        mean, std, pixels, image_pixels = (parsed[key].values.numpy() for key in keys)
        return DatasetStatistics(mean, std, pixels, image_pixels, count_examples(files))
    raise RefusedError([_no_examples(patterns)])


def parse_transformed(
    serialized: tf.Tensor, transform: TransformConfig, bit_depth: BitDepth = 8
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes one transformed example.

    Returns:
        uint8 or uint16 [height, width, 3], the image as stored, and uint8 [height, width], the mask.
    """
    keys = (features.IMAGE_PNG, features.MASK_PNG)
    parsed = tf.io.parse_single_example(
        serialized, {key: tf.io.FixedLenFeature([], tf.string) for key in keys}
    )
    stored = stored_dtype(bit_depth)
    image = tf.io.decode_png(parsed[features.IMAGE_PNG], channels=3, dtype=stored)
    mask = decode_mask_png(parsed[features.MASK_PNG])
    size = [transform.height_px, transform.width_px]
    return tf.ensure_shape(image, [*size, 3]), tf.ensure_shape(mask, size)


def stored_dtype(bit_depth: BitDepth) -> tf.DType:
    """Returns the dtype of images in records of that depth."""
    return tf.uint8 if bit_depth == 8 else tf.uint16


def to_float(images: tf.Tensor) -> tf.Tensor:
    """Returns float32 in 0 to 255 of stored images, uint8 or uint16."""
    floats = tf.cast(images, tf.float32)
    return floats if images.dtype == tf.uint8 else floats / 257


def _no_examples(patterns: Sequence[str]) -> Problem:
    return Problem(
        where=", ".join(patterns),
        what="holds no transformed examples",
        remedy="Check that the split has images; data.splits says how images are shared out",
        code="no_examples",
    )
