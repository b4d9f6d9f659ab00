"""Bringing small results of a Beam pipeline back to the program that started it, on any runner."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import apache_beam as beam
import tensorflow as tf

from data.errors import Problem
from data.read_pairs import PairDigest, RefusedPair

Record = PairDigest | RefusedPair


class CollectRecords(beam.PTransform):
    """Writes PairDigests and RefusedPairs to text files, a JSON document a line.

    A pipeline returns nothing to its program; what it found goes by files that both can reach.
    """

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._prefix = f"{folder}/records"

    def expand(self, collections: tuple[beam.PCollection, ...]) -> beam.PCollection:
        """Applies the transform to collections of either kind."""
        lines = collections | beam.Flatten() | "ToJson" >> beam.Map(_to_json)
        return lines | "WriteRecords" >> beam.io.WriteToText(self._prefix)


def read_records(folder: str) -> Iterator[Record]:
    """Yields what ``CollectRecords`` wrote, in no particular order."""
    for path in sorted(tf.io.gfile.glob(f"{folder}/records-*")):
        with tf.io.gfile.GFile(path, "r") as stream:
            for line in stream:
                yield _from_json(json.loads(line))


def _to_json(record: Record) -> str:
    return json.dumps({"kind": type(record).__name__, **asdict(record)})


def _from_json(document: dict[str, Any]) -> Record:
    if document.pop("kind") == PairDigest.__name__:
        return PairDigest(**document)
    problems = tuple(Problem(**problem) for problem in document["problems"])
    return RefusedPair(PairDigest(**document["digest"]), problems)
