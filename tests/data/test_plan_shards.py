from __future__ import annotations

import random

import pytest

from data.pairs import Pair
from data.plan_shards import (
    MAX_SHARDS_PER_SPLIT,
    MIN_PAIRS_PER_SHARD,
    plan_shards,
    shard_from_json,
    shard_to_json,
)


def make_pairs(split: str, count: int) -> list[Pair]:
    return [
        Pair(f"{split}/{n:06d}", split, f"/i/{split}/{n}.png", f"/m/{split}/{n}.png") for n in range(count)
    ]


def test_every_pair_is_in_exactly_one_shard_of_its_split():
    pairs = make_pairs("train", 3 * MIN_PAIRS_PER_SHARD + 1) + make_pairs("test", 5)
    shards = plan_shards(pairs)
    assert [(shard.split, shard.number, shard.count, len(shard.pairs)) for shard in shards] == [
        ("train", 0, 4, 64),
        ("train", 1, 4, 64),
        ("train", 2, 4, 64),
        ("train", 3, 4, 1),
        ("test", 0, 1, 5),
    ]
    assert sorted(pair for shard in shards for pair in shard.pairs) == sorted(pairs)


def test_the_plan_does_not_depend_on_the_order_of_the_listing():
    pairs = make_pairs("train", 200) + make_pairs("val", 100)
    shuffled = random.Random(1).sample(pairs, len(pairs))
    assert plan_shards(shuffled) == plan_shards(pairs)


def test_neighbours_by_name_do_not_stay_together():
    shards = plan_shards(make_pairs("train", 10 * MIN_PAIRS_PER_SHARD))
    numbers = [int(pair.image_id[-6:]) for pair in shards[0].pairs]
    assert max(numbers) - min(numbers) > 5 * MIN_PAIRS_PER_SHARD


def test_a_large_split_has_larger_shards_and_not_more_of_them():
    shards = plan_shards(make_pairs("train", MAX_SHARDS_PER_SPLIT * MIN_PAIRS_PER_SHARD + 1))
    assert len(shards) <= MAX_SHARDS_PER_SPLIT
    assert {len(shard.pairs) for shard in shards[:-1]} == {MIN_PAIRS_PER_SHARD + 1}


@pytest.mark.parametrize("image_id", ["street/ä b", "odd\udcff", 'quo"te'])
def test_a_shard_survives_its_file(image_id):
    pair = Pair(image_id, "val", "/i/a.png", "/m/a.png", (("weather", "rain, heavy"),))
    (shard,) = plan_shards([pair])
    assert shard_from_json(shard_to_json(shard)) == shard
