"""From transformed examples to batches: the input of training and of validation.

What a batch holds depends on the seed and on its number only, not on threads, devices, or where training
was resumed: example i of epoch e is a function of (seed, e, i), augmentation one of (seed, step).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from data.augment import augment_batch
from data.batch_part import WHOLE, Part
from data.config import AugmentConfig, TransformConfig
from data.decode_image import BitDepth
from data.read_transformed import (
    find_files,
    open_records,
    parse_transformed,
    read_statistics,
    stored_dtype,
    to_float,
)

Batch = dict[str, tf.Tensor]
Pixels = tuple[tf.Tensor, tf.Tensor]

_SHUFFLE_BUFFER_BYTES = 256_000_000
_LOAD_BATCH = 32


def make_dataset(
    patterns: Sequence[str],
    transform: TransformConfig,
    *,
    batch_size: int,
    ignore_id: int,
    bit_depth: BitDepth = 8,
    augment: AugmentConfig | None = None,
    shuffle: bool = False,
    repeat: bool = False,
    seed: int = 0,
    start_step: int = 0,
    cache_in_memory_bytes: int = 2_000_000_000,
    part: Part = WHOLE,
) -> tf.data.Dataset:
    """Makes batches of transformed examples.

    Training shuffles, augments and repeats: every epoch has each example once, in an order of its own, and
    batches run on from one epoch into the next. Validation does none of it: each example comes once, in
    the files' order, and the last batch is filled up with black images whose masks are all void.

    Args:
        patterns: names of TFRecord files of transformed examples, or patterns; ``.gz`` are compressed.
        transform: the working size, that of the records.
        batch_size: examples a batch, over all devices.
        ignore_id: the id of void.
        bit_depth: of the images in the records.
        augment: random changes, or None.
        shuffle: whether the order is random.
        repeat: whether the batches never end.
        seed: order and augmentation come from it.
        start_step: number of the first batch, for a training that goes on: the batches before it are
            left out at next to no cost, but for those of the same epoch where data are read anew.
        cache_in_memory_bytes: decoded examples are kept in memory if all of them fit in so much. Larger
            data sets are read, and decoded, anew each epoch and shuffled in a buffer.
        part: of every batch, the part that is made; nothing else is decoded but what stays in memory. All
            parts have the same number of batches.

    Returns:
        Dataset of ``image``: float32 [part of batch, height, width, 3] in 0 to 255, and ``mask``: uint8 [part
        of batch, height, width]. With crops, height and width are the crop's.

    Raises:
        RefusedError: there are no examples.
    """
    files = find_files(patterns)
    statistics = read_statistics(files)
    records = _Records(tuple(files), transform, bit_depth, statistics.example_count)
    order = _Order(batch_size, ignore_id, shuffle, repeat, seed, start_step, part)
    fits = records.decoded_bytes() <= cache_in_memory_bytes
    stored = _pick_from_memory(records, order) if fits else _stream_from_files(records, order)

    def finish(step: tf.Tensor, images: tf.Tensor, masks: tf.Tensor) -> Batch:
        images = to_float(images)
        if augment is not None:
            images, masks = augment_batch(
                images, masks, augment, tf.stack([seed, step]), ignore_id, statistics.channel_mean, part
            )
        return {"image": images, "mask": masks}

    if not repeat:
        stored = stored.apply(
            tf.data.experimental.assert_cardinality(-(-statistics.example_count // batch_size))
        )
    options = tf.data.Options()
    options.deterministic = True
    # Among the devices of one process; every worker makes its own part of each batch.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    batches = stored.map(finish, num_parallel_calls=tf.data.AUTOTUNE)
    return batches.prefetch(tf.data.AUTOTUNE).with_options(options)


@dataclass(frozen=True)
class _Records:
    """What is read."""

    files: tuple[str, ...]
    transform: TransformConfig
    bit_depth: BitDepth
    count: int

    def decoded_bytes(self) -> int:
        pixel_bytes = 3 * stored_dtype(self.bit_depth).size + 1
        return self.count * self.transform.height_px * self.transform.width_px * pixel_bytes

    def decode(self, serialized: tf.Tensor) -> Pixels:
        return parse_transformed(serialized, self.transform, self.bit_depth)


@dataclass(frozen=True)
class _Order:
    """Which examples make up which batch."""

    batch_size: int
    ignore_id: int
    shuffle: bool
    repeat: bool
    seed: int
    start_step: int
    part: Part

    @property
    def part_size(self) -> int:
        return self.part.size(self.batch_size)

    @property
    def part_first(self) -> int:
        return self.part.first(self.batch_size)


def _pick_from_memory(records: _Records, order: _Order) -> tf.data.Dataset:
    """Returns a dataset of (step, images, masks) as stored, picked from decoded examples in memory."""
    images, masks = _load(records)

    def pick(step: tf.Tensor, places: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        real = tf.size(places)
        places = tf.ensure_shape(tf.pad(places, [[0, order.batch_size - real]]), [order.batch_size])
        first, end = order.part_first, order.part_first + order.part_size
        batch = tf.gather(images, places[first:end]), tf.gather(masks, places[first:end])
        if order.repeat:
            return step, *batch
        return step, *_blank(batch, tf.range(first, end) < real, order.ignore_id)

    places = _order_examples(records.count, order).batch(order.batch_size, drop_remainder=order.repeat)
    return places.enumerate(order.start_step).map(pick, num_parallel_calls=tf.data.AUTOTUNE)


def _order_examples(count: int, order: _Order) -> tf.data.Dataset:
    """Returns a dataset of int64 scalars, places of examples, from the first of ``start_step`` on."""

    def order_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        places = tf.range(count, dtype=tf.int64)
        if order.shuffle:
            places = tf.random.experimental.stateless_shuffle(places, tf.stack([order.seed, epoch]))
        return tf.data.Dataset.from_tensor_slices(places)

    start = order.start_step * order.batch_size
    end = np.iinfo(np.int64).max if order.repeat else 1
    return tf.data.Dataset.range(start // count, end).flat_map(order_epoch).skip(start % count)


def _load(records: _Records) -> Pixels:
    """Returns all examples as stored: images [count, height, width, 3], masks [count, height, width]."""
    size = (records.count, records.transform.height_px, records.transform.width_px)
    images = np.empty((*size, 3), stored_dtype(records.bit_depth).as_numpy_dtype)
    masks = np.empty(size, np.uint8)
    decoded = open_records(records.files).map(records.decode, num_parallel_calls=tf.data.AUTOTUNE)
    first = 0
    for some_images, some_masks in decoded.batch(_LOAD_BATCH).prefetch(2).as_numpy_iterator():
        images[first : first + len(some_images)] = some_images
        masks[first : first + len(some_masks)] = some_masks
        first += len(some_images)
    # Batches are put together on the CPU, wherever training runs.
    with tf.device("CPU:0"):
        return tf.convert_to_tensor(images), tf.convert_to_tensor(masks)


def _stream_from_files(records: _Records, order: _Order) -> tf.data.Dataset:
    """Returns a dataset of (step, images, masks) as stored, read anew each epoch."""
    file_bytes = sum(tf.io.gfile.stat(file).length for file in records.files)
    buffered = max(1, min(records.count, records.count * _SHUFFLE_BUFFER_BYTES // max(1, file_bytes)))

    def read_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        serialized = open_records(records.files, parallel_reads=2 if order.shuffle else None)
        return _shuffle(serialized, buffered, order.seed, epoch) if order.shuffle else serialized

    start = order.start_step * order.batch_size
    end = np.iinfo(np.int64).max if order.repeat else 1
    # Whole epochs are left out without being read.
    serialized = tf.data.Dataset.range(start // records.count, end).flat_map(read_epoch)
    serialized = serialized.skip(start % records.count)
    if not order.repeat:
        missing = tf.data.Dataset.from_tensors("").repeat(-records.count % order.batch_size)
        serialized = serialized.concatenate(missing)
    decoded = _take_part(serialized, order).map(
        lambda example: _decode_or_blank(records, example, order), num_parallel_calls=tf.data.AUTOTUNE
    )
    batches = decoded.batch(order.part_size, drop_remainder=True).enumerate(order.start_step)
    return batches.map(lambda step, batch: (step, *batch))


def _take_part(serialized: tf.data.Dataset, order: _Order) -> tf.data.Dataset:
    """Returns this part's examples of all batches, in their order."""
    if order.part.count == 1:
        return serialized

    def is_own(place: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
        return tf.equal(place % order.batch_size // order.part_size, order.part.index)

    return serialized.enumerate().filter(is_own).map(lambda _, example: example)


def _decode_or_blank(records: _Records, serialized: tf.Tensor, order: _Order) -> Pixels:
    """Returns an example; a black image, all void, for the empty strings that fill up the last batch."""
    if order.repeat:
        return records.decode(serialized)
    size = (records.transform.height_px, records.transform.width_px)
    blank = tf.zeros((*size, 3), stored_dtype(records.bit_depth)), tf.fill(size, np.uint8(order.ignore_id))
    return tf.cond(tf.strings.length(serialized) > 0, lambda: records.decode(serialized), lambda: blank)


def _shuffle(serialized: tf.data.Dataset, buffered: int, seed: int, epoch: tf.Tensor) -> tf.data.Dataset:
    """Shuffles one epoch's string scalars in a buffer; the order follows from the seed and the epoch.

    ``Dataset.shuffle`` takes tensors for seeds, but fails on them where TensorFlow's global seed is 0.
    """
    shuffled = tf.raw_ops.ShuffleDataset(
        input_dataset=tf.data.experimental.to_variant(serialized),
        buffer_size=buffered,
        seed=seed,
        # Two zeros would mean any seed.
        seed2=epoch + 1,
        output_types=[tf.string],
        output_shapes=[tf.TensorShape([])],
        reshuffle_each_iteration=False,
    )
    return tf.data.experimental.from_variant(shuffled, tf.TensorSpec([], tf.string))


def _blank(batch: Pixels, is_real: tf.Tensor, ignore_id: int) -> Pixels:
    """Returns the batch with black images and void masks where an example is not real."""
    images, masks = batch
    chosen = is_real[:, tf.newaxis, tf.newaxis]
    blank_masks = tf.where(chosen, masks, tf.cast(ignore_id, tf.uint8))
    return tf.where(chosen[..., tf.newaxis], images, tf.zeros([], images.dtype)), blank_masks
