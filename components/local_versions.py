"""Served versions in a folder of this machine.

A version is copied beside the others under a hidden name, made durable, and then renamed: it appears
whole or not at all.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from data.parse_json import parse_json
from data.pushed_files import hash_below

PUSH_LOG = ".pushes.jsonl"
VERSION = r"0|[1-9][0-9]{0,17}"
"""A version's folder: numbers that TF Serving, whose own have 64 bits, takes."""
_STAGING_ENDING = ".tmp"
STALE_AFTER_SECONDS = 24 * 3600


def list_files(folder: str) -> tuple[str, ...]:
    """Returns the files below a folder as relative paths with ``/``, sorted."""
    root = Path(folder)
    return tuple(sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()))


def hash_file(folder: str, path: str) -> str:
    """Returns the SHA-256 of a file below a folder, in hexadecimal digits.

    Raises:
        OSError: it cannot be read, is no regular file, or a link that leads out of the folder.
    """
    return hash_below(folder, path)


def read_file(folder: str, path: str, max_bytes: int) -> bytes:
    """Returns the content of a file below a folder.

    Raises:
        OSError: it cannot be read.
        ValueError: it is larger than ``max_bytes``.
    """
    file = Path(folder) / path
    if file.exists() and not file.is_file():
        raise OSError("is no regular file")
    with file.open("rb") as stream:
        content = stream.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise ValueError(f"is larger than {max_bytes} bytes")
    return content


class StagedVersion:
    """A version in the making; leaves nothing behind unless ``place`` succeeded."""

    def __init__(self, serving_root: str) -> None:
        self._root = Path(serving_root)
        self._root.mkdir(parents=True, exist_ok=True)
        self._folder = self._root / f".{uuid.uuid4().hex}{_STAGING_ENDING}"

    def __enter__(self) -> StagedVersion:
        self._folder.mkdir()
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def hash_files(self) -> dict[str, str]:
        """Returns the SHA-256 of the copies by their path, so that an error of copying is found."""
        folder = str(self._folder)
        return {path: hash_file(folder, path) for path in list_files(folder)}

    def copy_tree(self, source: str) -> None:
        """Copies all files below a folder."""
        for path in list_files(source):
            self.copy_file(str(Path(source) / path), path)

    def copy_file(self, source: str, path: str) -> None:
        """Copies one file to a path below the version, onto the disk itself."""
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with Path(source).open("rb") as reader, target.open("wb") as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)
            _sync(writer.fileno())

    def write_file(self, path: str, content: bytes) -> None:
        """Writes one small file, onto the disk itself."""
        with (self._folder / path).open("wb") as writer:
            writer.write(content)
            writer.flush()
            _sync(writer.fileno())

    def place(self, version: int) -> bool:
        """Gives the version its number; returns False if that number is taken, and changes nothing then."""
        for folder in (self._folder, *(path for path in self._folder.rglob("*") if path.is_dir())):
            _sync_folder(folder)
        target = self._root / str(version)
        if target.exists():  # Renaming would replace an empty folder.
            return False
        try:
            self._folder.rename(target)
        except OSError:
            if target.exists():
                return False
            raise
        _sync_folder(self._root)
        return True


class LocalVersions:
    """See ``components.version_store.VersionStore``."""

    def __init__(self, serving_root: str) -> None:
        self._root = Path(serving_root)

    def path(self, version: int) -> str:
        """Returns the folder of a version, whether it is there or not."""
        return str(self._root / str(version))

    def list_versions(self) -> tuple[int, ...]:
        """Returns the numbers of the versions that are there."""
        if not self._root.is_dir():
            return ()
        names = (entry.name for entry in self._root.iterdir() if entry.is_dir())
        return tuple(sorted(int(name) for name in names if re.fullmatch(VERSION, name)))

    def list_used(self) -> set[int]:
        """Returns the numbers that are, or once were, a version's."""
        return {*self.list_versions(), *(version for version, _ in self.read_push_log())}

    def stage(self) -> StagedVersion:
        """Returns a version in the making."""
        return StagedVersion(str(self._root))

    def log_push(self, version: int, model_fingerprint: str) -> None:
        """Adds a line to the root's log of pushes, by which a version is remembered when it is deleted."""
        line = json.dumps({"version": version, "model_fingerprint": model_fingerprint}) + "\n"
        with (self._root / PUSH_LOG).open("a", encoding="utf-8") as stream:
            stream.write(line)

    def read_push_log(self) -> tuple[tuple[int, str], ...]:
        """Returns (version, model fingerprint) of each push; lines that cannot be read are passed over."""
        try:
            lines = (self._root / PUSH_LOG).read_text(encoding="utf-8").splitlines()
        except OSError:
            return ()
        return tuple(_parse_pushes(lines))

    def remove_stale(self, now: float | None = None) -> tuple[str, ...]:
        """Removes what pushes that died left behind a day ago or earlier; returns the names."""
        limit = (time.time() if now is None else now) - STALE_AFTER_SECONDS
        removed = []
        for folder in self._root.glob(f".*{_STAGING_ENDING}"):
            try:
                times = [path.lstat().st_mtime for path in (folder, *folder.rglob("*"))]
            except OSError:  # Another push placed or removed it meanwhile.
                continue
            if folder.is_dir() and max(times) < limit:
                shutil.rmtree(folder, ignore_errors=True)
                removed.append(folder.name)
        return tuple(removed)


def _parse_pushes(lines: list[str]) -> Iterator[tuple[int, str]]:
    for line in lines:
        try:
            entry = parse_json(line)
            version, fingerprint = int(entry["version"]), str(entry["model_fingerprint"])
        except (ValueError, KeyError, TypeError, OverflowError):
            continue
        if re.fullmatch(VERSION, str(version)):
            yield version, fingerprint


def _sync(descriptor: int) -> None:
    os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
