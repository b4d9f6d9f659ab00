"""Files that come, go and change while a data set is read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from data import examine_pair as module
from data.check_dataset import check_dataset
from data.config import DataConfig
from data.decode_mask import build_mask_codec
from data.examine_pair import BadPair, PairFacts, examine_pair
from data.fingerprint_dataset import hash_pair
from data.list_dataset import list_dataset
from data.open_files import find_newest, read_bytes


def test_a_file_that_vanishes_after_the_listing_is_refused_by_name(good_set: DataConfig) -> None:
    pair = list_dataset(good_set).pairs[0]
    Path(pair.mask_path).unlink()
    found = examine_pair(pair, build_mask_codec(good_set))
    assert isinstance(found, BadPair)
    assert [(problem.where, problem.code) for problem in found.problems] == [
        (pair.mask_path, "unreadable_file")
    ]
    assert (found.image_sha256, found.mask_sha256) == (None, None)


def test_digests_are_of_the_bytes_that_were_decoded(
    good_set: DataConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So what changes between hashing and reading never passes under the old fingerprint."""
    pair = list_dataset(good_set).pairs[0]
    before = Path(pair.image_path).read_bytes()

    def read_and_change(path: str, max_bytes: int | None = None) -> bytes:
        content = read_bytes(path, max_bytes)
        if path == pair.image_path:
            other = Path(good_set.root, "images/train/train-003.png").read_bytes()
            Path(path).write_bytes(other)
        return content

    monkeypatch.setattr(module, "read_bytes", read_and_change)
    found = examine_pair(pair, build_mask_codec(good_set))
    assert isinstance(found, PairFacts) and found.image_bytes == before
    assert found.image_sha256 == hashlib.sha256(before).hexdigest() != hash_pair(pair)[0]


@pytest.mark.parametrize("length", [0, 1, 100, -1])
def test_a_file_that_is_still_being_written_is_refused(good_set: DataConfig, length: int) -> None:
    path = Path(good_set.root, "images/train/train-000.png")
    path.write_bytes(path.read_bytes()[:length])
    (problem,) = check_dataset(good_set, workers=1).problems
    assert problem.where == str(path) and problem.code in ("empty_file", "truncated_image", "not_an_image")


def test_a_bad_pair_has_the_digests_of_its_files(good_set: DataConfig) -> None:
    pair = list_dataset(good_set).pairs[0]
    Path(pair.image_path).write_bytes(b"no image")
    found = examine_pair(pair, build_mask_codec(good_set))
    assert isinstance(found, BadPair) and (found.image_sha256, found.mask_sha256) == hash_pair(pair)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda root: (root / "masks/train/train-002.png").write_bytes(b""), "masks/train/train-002.png"),
        (lambda root: (root / "images/val/val-001.png").unlink(), "images/val"),
    ],
    ids=["written", "removed"],
)
def test_what_changed_last_is_named(
    good_set: DataConfig, change: Callable[[Path], object], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(good_set.root)
    paths = [path for pair in list_dataset(good_set).pairs for path in (pair.image_path, pair.mask_path)]
    stat = Path.stat
    old = {
        str(path): (status.st_mtime_ns, status.st_ctime_ns)
        for path in root.rglob("*")
        if (status := stat(path))
    }
    change(root)

    def age(path: Path, **keys: bool) -> os.stat_result:
        """Files' clocks tick slowly: what was not touched is a minute older here."""
        status = stat(path, **keys)
        if old.get(str(path)) != (status.st_mtime_ns, status.st_ctime_ns):
            return status
        fields = list(status)
        fields[8:10] = [fields[8] - 60, fields[9] - 60]
        return os.stat_result(fields)

    monkeypatch.setattr(Path, "stat", age)
    newest = find_newest(paths)
    assert newest is not None and newest.startswith(f"{root}/{named} (")


def test_nothing_there_is_nothing_new() -> None:
    assert find_newest(["/no/such/file.png", "s3://bucket/a.png"]) is None
