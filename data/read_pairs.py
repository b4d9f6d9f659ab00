"""Beam transforms that read a data set's files: from the plan of shards to digests of every file."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import apache_beam as beam
import tensorflow as tf
from apache_beam.metrics import Metrics

from data import progress
from data.errors import Problem
from data.fingerprint_dataset import hash_pair
from data.open_files import is_remote
from data.pairs import Pair
from data.plan_shards import Shard, shard_from_json, shard_to_json

METRICS_NAMESPACE = "deconvflow"
READ_THREADS = min(4, os.cpu_count() or 1)
REMOTE_READ_THREADS = 16
SECONDS_WORTH_A_THREAD = 0.002
UNREADABLE = "unreadable"

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, order=True)
class PairDigest:
    """What a pair's files hold, as SHA-256 in hex; ``unreadable`` for a file that cannot be read.

    ``perceptual_hash`` is that of ``data.examine_pair``; empty for files that were read and not decoded.
    """

    image_id: str
    split: str
    image_sha256: str
    mask_sha256: str
    perceptual_hash: str = ""


@dataclass(frozen=True)
class RefusedPair:
    """A pair that is no example: what its files hold, and what is wrong with them."""

    digest: PairDigest
    problems: tuple[Problem, ...]


def write_plan(shards: Iterable[Shard], folder: str) -> list[str]:
    """Writes one file a shard and returns their paths.

    The plan goes by files because runners limit the size of a pipeline's graph, which is where
    ``beam.Create`` puts its elements: some ten thousand pairs would be too many.
    """
    tf.io.gfile.makedirs(folder)
    paths = []
    for shard in shards:
        path = f"{folder}/{shard.split}-{shard.number:05d}.json"
        with tf.io.gfile.GFile(path, "w") as stream:
            stream.write(shard_to_json(shard))
        paths.append(path)
    return paths


class ReadPlan(beam.PTransform):
    """Reads the shards that ``write_plan`` wrote, spread over the workers."""

    def __init__(self, paths: Iterable[str]) -> None:
        super().__init__()
        self._paths = list(paths)

    def expand(self, pbegin: beam.Pipeline) -> beam.PCollection[Shard]:
        """Applies the transform to the root of a pipeline."""
        return (
            pbegin
            | "ListShards" >> beam.Create(self._paths)
            | beam.Reshuffle()
            | "ReadShard" >> beam.Map(_read_shard)
        )


def _read_shard(path: str) -> Shard:
    with tf.io.gfile.GFile(path, "r") as stream:
        return shard_from_json(stream.read())


class HashPairs(beam.PTransform):
    """Shards to the PairDigest of every pair."""

    def expand(self, shards: beam.PCollection[Shard]) -> beam.PCollection[PairDigest]:
        """Applies the transform."""
        return shards | "HashShard" >> beam.ParDo(HashShardFn())


class HashShardFn(beam.DoFn):
    """Reads and hashes the files of a shard's pairs."""

    def __init__(self) -> None:
        super().__init__()
        self._pairs = Metrics.counter(METRICS_NAMESPACE, "pairs_hashed")

    def process(self, shard: Shard) -> Iterator[PairDigest]:
        """Yields a digest a pair, in the shard's order."""
        for digest in map_ahead(digest_pair, shard.pairs, count_read_threads(shard.pairs)):
            self._pairs.inc()
            advance()
            yield digest


def digest_pair(pair: Pair) -> PairDigest:
    """Returns the digest of a pair's files."""
    try:
        return describe_digest(pair, *hash_pair(pair))
    except OSError:
        # Ingest opens the same files and says which of the two it was, and why.
        return describe_digest(pair, None, None)


def describe_digest(pair: Pair, image_sha256: str | None, mask_sha256: str | None) -> PairDigest:
    """Returns the digest of a pair by those of its files; None for a pair with a file that cannot be read."""
    return PairDigest(pair.image_id, pair.split, image_sha256 or UNREADABLE, mask_sha256 or UNREADABLE)


def count_read_threads(pairs: Sequence[Pair]) -> int:
    """Returns how many threads read pairs best: those that wait for an object store use no processor."""
    return REMOTE_READ_THREADS if pairs and is_remote(pairs[0].image_path) else READ_THREADS


def map_ahead(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int = READ_THREADS
) -> Iterator[Result]:
    """Yields ``function`` of each item in order, while threads work on the items that come next.

    Reading, hashing and decoding release Python's lock, so threads use the cores and hide the
    latency of object stores. Items that take less than ``SECONDS_WORTH_A_THREAD`` on average are done
    without: threads would spend longer waiting for the lock than working. No more than twice
    ``threads`` results wait in memory.
    """
    remaining = iter(items)
    yield from _map_while_quick(function, remaining)
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in remaining:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _map_while_quick(function: Callable[[Item], Result], items: Iterator[Item]) -> Iterator[Result]:
    """Yields results until their average time says that threads are worth it."""
    average_seconds = 0.0
    for item in items:
        started = time.perf_counter()
        result = function(item)
        # A moving average, so that one slow read among quick ones changes nothing.
        average_seconds += 0.1 * (time.perf_counter() - started - average_seconds)
        yield result
        if average_seconds > SECONDS_WORTH_A_THREAD:
            return


_open_stage: progress.Stage | None = None


@contextmanager
def showing_progress(name: str, pairs: int) -> Iterator[None]:
    """Shows how many pairs the transforms of this module have read in this process.

    Workers in other processes or on other machines show nothing.
    """
    global _open_stage
    with progress.current().stage(name, total=pairs) as stage:
        _open_stage = stage
        try:
            yield
        finally:
            _open_stage = None


def advance() -> None:
    """Counts one pair of the stage that is shown, if this process shows one."""
    if _open_stage is not None:
        _open_stage.advance()
