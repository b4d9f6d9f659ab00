from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from data.config import DataConfig
from data.fingerprint_dataset import find_leaks, fingerprint, hash_pair
from data.list_pairs import list_pairs

Make = Callable[..., DataConfig]
Fill = Callable[..., Path]
ENTRIES = [("a", "train", "1", "2"), ("b", "val", "3", "4"), ("c", "train", "5", "6")]


def fingerprint_of(config: DataConfig) -> str:
    pairs = list_pairs(config).pairs
    return fingerprint((pair.image_id, pair.split, *hash_pair(pair)) for pair in pairs)


def test_hashes_are_of_the_files_bytes(tmp_path: Path, make_config: Make, fill_folder: Fill) -> None:
    fill_folder(tmp_path, ["train/a"])
    (pair,) = list_pairs(make_config(tmp_path)).pairs
    image, mask = tmp_path / "images/train/a.png", tmp_path / "masks/train/a.png"
    assert hash_pair(pair) == tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in (image, mask))


def test_place_and_times_do_not_matter_but_every_byte_does(
    tmp_path: Path, make_config: Make, fill_folder: Fill
) -> None:
    names = ["train/a", "train/b", "val/c"]
    one, two = fill_folder(tmp_path / "one", names), fill_folder(tmp_path / "two", names[::-1])
    before = fingerprint_of(make_config(one))
    os.utime(two / "images/train/a.png", (1, 1))
    assert fingerprint_of(make_config(two)) == before
    mask = two / "masks/val/c.png"
    mask.write_bytes(mask.read_bytes()[:-1] + b"!")
    assert fingerprint_of(make_config(two)) != before


@given(st.permutations(ENTRIES))
def test_order_does_not_matter(entries: list[tuple[str, str, str, str]]) -> None:
    assert fingerprint(entries) == fingerprint(ENTRIES)


def test_id_split_and_each_hash_matter() -> None:
    every = {fingerprint(ENTRIES)}
    for position in range(4):
        changed = list(ENTRIES[0])
        changed[position] = "other"
        every.add(fingerprint([tuple(changed), *ENTRIES[1:]]))  # type: ignore[list-item]
    every.add(fingerprint(ENTRIES[1:]))
    every.add(fingerprint([("a\n", "train", "1", "2"), *ENTRIES[1:]]))
    assert len(every) == 7


def test_leaks_across_splits_are_named_and_copies_within_one_are_not() -> None:
    leaks = find_leaks(
        [("a", "train", "x"), ("b", "train", "x"), ("c", "test", "x"), ("d", "val", "y"), ("e", "test", "z")]
    )
    assert [(leak.where, leak.code) for leak in leaks] == [("c", "leak")]
    assert "split test" in leaks[0].what and "as a in train" in leaks[0].what
