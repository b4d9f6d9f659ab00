"""Cutting a data set into units of work: which pairs are read by one worker into one file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, cast

from data.assign_splits import SPLIT_NAMES, SplitName
from data.pairs import Pair

MIN_PAIRS_PER_SHARD = 64
MAX_SHARDS_PER_SPLIT = 512


@dataclass(frozen=True)
class Shard:
    """The pairs of one split that one worker reads.

    Attributes:
        split: the split of all its pairs.
        number: from 0 within the split.
        count: how many shards the split has.
        pairs: in the order in which their examples are written.
    """

    split: SplitName
    number: int
    count: int
    pairs: tuple[Pair, ...]


def plan_shards(pairs: Iterable[Pair]) -> tuple[Shard, ...]:
    """Cuts pairs into shards: the same pairs always give the same shards in the same order.

    The order is that of the ids' hashes: neighbours by name (frames of one video) fall apart, which a
    training that shuffles within a window needs, and no random number is involved.
    """
    by_split: dict[SplitName, list[Pair]] = {split: [] for split in SPLIT_NAMES}
    for pair in pairs:
        by_split[pair.split].append(pair)
    return tuple(shard for split, members in by_split.items() for shard in _cut(split, members))


def _cut(split: SplitName, pairs: list[Pair]) -> Iterator[Shard]:
    ordered = sorted(pairs, key=_scatter)
    size = max(MIN_PAIRS_PER_SHARD, -(-len(ordered) // MAX_SHARDS_PER_SPLIT))
    count = -(-len(ordered) // size)
    for number in range(count):
        yield Shard(split, number, count, tuple(ordered[number * size : (number + 1) * size]))


def _scatter(pair: Pair) -> tuple[bytes, str]:
    return hashlib.sha256(pair.image_id.encode("utf-8", "surrogateescape")).digest(), pair.image_id


def shard_to_json(shard: Shard) -> str:
    """Returns a shard as one JSON document."""
    return json.dumps(asdict(shard))


def shard_from_json(text: str) -> Shard:
    """Returns the shard that ``shard_to_json`` described."""
    document = json.loads(text)
    pairs = tuple(_pair_from_json(row) for row in document["pairs"])
    return Shard(document["split"], document["number"], document["count"], pairs)


def _pair_from_json(row: dict[str, Any]) -> Pair:
    attributes = tuple((name, value) for name, value in row["attributes"])
    split = cast(SplitName, row["split"])
    return Pair(row["image_id"], split, row["image_path"], row["mask_path"], attributes)
