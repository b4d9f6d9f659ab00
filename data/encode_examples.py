"""The Beam transform that turns pairs of files into tf.Example records, one TFRecord file a shard."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import apache_beam as beam
import tensorflow as tf
from apache_beam.metrics import Metrics

from data import features
from data.config import DataConfig
from data.decode_mask import build_mask_codec
from data.examine_pair import PairFacts, examine_pair
from data.plan_shards import Shard
from data.read_pairs import (
    METRICS_NAMESPACE,
    PairDigest,
    RefusedPair,
    advance,
    count_read_threads,
    describe_digest,
    map_ahead,
)

REFUSED = "refused"
MAX_FILE_BYTES = 128 * 1024 * 1024


def encode_example(facts: PairFacts, class_names: tuple[str, ...]) -> bytes:
    """Returns the serialized tf.Example of a pair, with the features of ``data.features``.

    The same facts always give the same bytes: the keys are serialized in order.
    """
    values: dict[str, Any] = {
        features.IMAGE_ENCODED: facts.image_bytes,
        features.IMAGE_FORMAT: facts.image_format,
        features.IMAGE_ID: facts.pair.image_id,
        features.IMAGE_SPLIT: facts.pair.split,
        features.IMAGE_SHA256: facts.image_sha256,
        features.IMAGE_HEIGHT_PX: facts.height_px,
        features.IMAGE_WIDTH_PX: facts.width_px,
        features.IMAGE_CHANNELS: facts.channels,
        features.IMAGE_BIT_DEPTH: facts.bit_depth,
        features.IMAGE_MEAN: facts.image_mean,
        features.MASK_ENCODED: facts.mask_png,
        features.MASK_SHA256: facts.mask_sha256,
        features.MASK_UNKNOWN_PIXELS: facts.unknown_pixels,
        features.MASK_VOID_SHARE: facts.void_share,
    }
    for name, pixels in zip(class_names, facts.class_pixels, strict=True):
        values[features.class_pixels_key(name)] = pixels
    for name, value in facts.pair.attributes:
        values[features.attribute_key(name)] = value
    example = tf.train.Example()
    for key, value in values.items():
        _set_feature(example.features.feature[key], value)
    content: bytes = example.SerializeToString(deterministic=True)
    return content


def _set_feature(feature: tf.train.Feature, value: bytes | str | int | float) -> None:
    if isinstance(value, str):
        # A file name that is not UTF-8 keeps its bytes.
        value = value.encode("utf-8", "surrogateescape")
    if isinstance(value, bytes):
        feature.bytes_list.value.append(value)
    elif isinstance(value, int):
        feature.int64_list.value.append(value)
    else:
        feature.float_list.value.append(value)


class EncodeExamples(beam.PTransform):
    """Shards to TFRecord files of examples in ``<uri>/Split-<split>/``.

    A shard is written by one worker in the shard's order, with a few pairs in memory at a time: no
    image goes through a shuffle, memory stays flat however large the data set is, and the same data
    gives the same files on every runner.

    Yields a tuple of collections: the PairDigest of every example written, and the RefusedPair of every
    other pair.
    """

    def __init__(self, config: DataConfig, uri: str, max_file_bytes: int = MAX_FILE_BYTES) -> None:
        super().__init__()
        self._encode_shard = EncodeShardFn(config, uri, max_file_bytes)

    def expand(
        self, shards: beam.PCollection[Shard]
    ) -> tuple[beam.PCollection[PairDigest], beam.PCollection[RefusedPair]]:
        """Applies the transform."""
        outputs = shards | "EncodeShard" >> beam.ParDo(self._encode_shard).with_outputs(
            REFUSED, main="digests"
        )
        return outputs["digests"], outputs[REFUSED]


class EncodeShardFn(beam.DoFn):
    """Reads, examines, encodes and writes the pairs of a shard."""

    def __init__(self, config: DataConfig, uri: str, max_file_bytes: int) -> None:
        super().__init__()
        self._codec = build_mask_codec(config)
        self._class_names = tuple(entry.name for entry in config.classes)
        self._uri = uri
        self._max_file_bytes = max_file_bytes

    def process(self, shard: Shard) -> Iterator[Any]:
        """Yields the digest of each pair written, and tagged ``refused`` what is wrong with each other."""
        files = _ShardFiles(self._uri, shard, self._max_file_bytes)
        counts: Counter[str] = Counter()
        examine = partial(examine_pair, codec=self._codec)
        for found in map_ahead(examine, shard.pairs, count_read_threads(shard.pairs)):
            advance()
            counts["pairs_read"] += 1
            if isinstance(found, PairFacts):
                counts["example_bytes"] += files.write(encode_example(found, self._class_names))
                counts[f"examples_{shard.split}"] += 1
                digest = describe_digest(found.pair, found.image_sha256, found.mask_sha256)
                yield replace(digest, perceptual_hash=found.perceptual_hash)
                continue
            for problem in found.problems:
                counts[f"problems_{problem.code}"] += 1
            digest = describe_digest(found.pair, found.image_sha256, found.mask_sha256)
            yield beam.pvalue.TaggedOutput(REFUSED, RefusedPair(digest, found.problems))
        files.publish()
        for name, amount in counts.items():
            Metrics.counter(METRICS_NAMESPACE, name).inc(amount)


class _ShardFiles:
    """The files of a shard: written under other names, renamed when all of them are whole.

    A worker that dies, or a runner that tries a shard twice, leaves no half file among the examples.
    """

    def __init__(self, uri: str, shard: Shard, max_file_bytes: int) -> None:
        self._folder = f"{uri}/Split-{shard.split}"
        self._name = f"data_tfrecord-{shard.number:05d}-of-{shard.count:05d}"
        self._temporary = f"{temporary_folder(uri)}/{self._name}-{secrets.token_hex(8)}"
        self._max_file_bytes = max_file_bytes
        self._writer: tf.io.TFRecordWriter | None = None
        self._file_bytes = 0
        self._parts = 0

    def write(self, record: bytes) -> int:
        """Appends a record and returns its size in bytes."""
        if self._writer is not None and self._file_bytes + len(record) > self._max_file_bytes:
            self._close()
        if self._writer is None:
            tf.io.gfile.makedirs(self._temporary)
            self._writer = tf.io.TFRecordWriter(f"{self._temporary}/{self._parts}")
            self._parts += 1
        self._writer.write(record)
        self._file_bytes += len(record)
        return len(record)

    def publish(self) -> None:
        """Gives the files their names: the first the shard's, further ones a number behind it."""
        self._close()
        tf.io.gfile.makedirs(self._folder)
        for part in range(self._parts):
            name = self._name if part == 0 else f"{self._name}-{part:03d}"
            tf.io.gfile.rename(f"{self._temporary}/{part}", f"{self._folder}/{name}", overwrite=True)

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer, self._file_bytes = None, 0


def temporary_folder(uri: str) -> str:
    """Returns the folder below an artifact where unfinished files are; its owner removes it."""
    return f"{uri}/.unfinished"
