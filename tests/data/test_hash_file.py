"""Hashes of files: right, and not computed twice for what did not change."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from data import hash_file as module
from data.hash_file import hash_file
from data.pushed_files import hash_below


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    reads: list[str] = []
    digest = hashlib.file_digest

    def counted(stream: Any, name: str) -> Any:
        reads.append(name)
        return digest(stream, name)

    monkeypatch.setattr(module.hashlib, "file_digest", counted)
    return reads


def test_a_settled_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads, file = count_reads(monkeypatch), tmp_path / "a"
    file.write_bytes(b"abc")
    monkeypatch.setattr(module, "_SETTLED_SECONDS", -3600.0)  # An hour from now it would be.
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-4's example

    assert [hash_file(file), hash_file(str(file))] == [expected, expected]
    assert len(reads) == 1
    file.write_bytes(b"abcd")
    assert hash_file(file) == hashlib.sha256(b"abcd").hexdigest()


def test_a_file_that_was_just_written_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its next change may fall into the same tick of the clock, and look like none."""
    reads, file = count_reads(monkeypatch), tmp_path / "a"
    file.write_bytes(b"abc")
    os.utime(file, (0, 0))  # Its times can be set, but for the one of the last change.

    assert hash_file(file) == hash_file(file)
    assert len(reads) == 2


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(OSError, match="no regular file"):
        hash_file(tmp_path / "pipe")
    with pytest.raises(OSError):
        hash_file(tmp_path)


def test_a_link_may_lead_to_the_same_folder_only(tmp_path: Path) -> None:
    (tmp_path / "3").mkdir()
    (tmp_path / "3/a").write_bytes(b"abc")
    (tmp_path / "3/inside").symlink_to("a")
    (tmp_path / "3/outside").symlink_to(tmp_path / "other")
    (tmp_path / "other").write_bytes(b"abc")
    (tmp_path / "latest").symlink_to("3")

    assert hash_below(str(tmp_path / "latest"), "inside") == hash_file(tmp_path / "3/a")
    with pytest.raises(OSError, match="is a link out of"):
        hash_below(str(tmp_path / "3"), "outside")
