from __future__ import annotations

from pathlib import Path

from data.find_near_duplicates import HashedImage
from data.keep_hashes import HASHES_FILE, keep_hashes, read_hashes


def test_hashes_come_back_in_one_order(tmp_path: Path) -> None:
    images = [
        HashedImage("/data/val/ä\udcff.png", "val", "2", ""),
        HashedImage("/data/train/a.png", "train", "1", "0f" * 32),
    ]
    keep_hashes(images, str(tmp_path))
    content = (tmp_path / HASHES_FILE).read_bytes()
    assert read_hashes(str(tmp_path)) == images[::-1]
    keep_hashes(images[::-1], str(tmp_path))
    assert (tmp_path / HASHES_FILE).read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == [HASHES_FILE]


def test_examples_of_an_earlier_version_have_none(tmp_path: Path) -> None:
    assert read_hashes(str(tmp_path)) is None
