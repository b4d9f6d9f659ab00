"""Served versions, on this machine or in an object store.

A serving root holds a folder a version, named by an integer as TF Serving wants it. Numbers only
increase, and none is used twice. A version appears whole or not at all; how, the two modules say.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Protocol

from components import local_versions, object_versions
from data.errors import Problem, RefusedError
from data.object_store import is_in_object_store
from data.open_files import is_remote


class StagedVersion(Protocol):
    """A version in the making; leaves nothing that could be taken for one unless ``place`` succeeded."""

    def __enter__(self) -> StagedVersion:
        """Begins."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Clears away."""

    def copy_tree(self, source: str) -> None:
        """Takes all files below a folder of this machine."""

    def copy_file(self, source: str, path: str) -> None:
        """Takes one file of this machine, to a path below the version."""

    def write_file(self, path: str, content: bytes) -> None:
        """Takes one small file."""

    def hash_files(self) -> dict[str, str]:
        """Returns the SHA-256 of the files so far, by their path below the version."""

    def place(self, version: int) -> bool:
        """Gives the version its number; returns False if that number is taken, and changes nothing then."""


class VersionStore(Protocol):
    """A serving root."""

    def path(self, version: int) -> str:
        """Returns the folder of a version, whether it is there or not."""

    def list_versions(self) -> tuple[int, ...]:
        """Returns the numbers of the whole versions, smallest first; none if there is no such root."""

    def list_used(self) -> Iterable[int]:
        """Returns all numbers that no version can get any more."""

    def stage(self) -> StagedVersion:
        """Returns a version in the making."""

    def log_push(self, version: int, model_fingerprint: str) -> None:
        """Remembers a version beyond its deletion."""

    def read_push_log(self) -> tuple[tuple[int, str], ...]:
        """Returns (version, model fingerprint) of each push."""

    def remove_stale(self, now: float | None = None) -> tuple[str, ...]:
        """Removes what pushes that died left behind a day before ``now`` or earlier; returns the names."""


def open_versions(serving_root: str) -> VersionStore:
    """Returns the store of a serving root.

    Raises:
        RefusedError: it is behind a scheme other than s3:// and gs://, or names no bucket.
    """
    if is_in_object_store(serving_root):
        return object_versions.ObjectVersions(serving_root)
    if is_remote(serving_root):
        what = "is no place that models can be pushed to"
        remedy = "Take s3:// (MinIO's too, by AWS_ENDPOINT_URL_S3), gs:// or a local folder"
        raise RefusedError([Problem(serving_root, what, remedy, "remote_serving_root")])
    return local_versions.LocalVersions(serving_root)


def list_versions(serving_root: str) -> tuple[int, ...]:
    """Returns the numbers of the whole versions, smallest first; none if there is no such root."""
    return open_versions(serving_root).list_versions()


def version_path(serving_root: str, version: int) -> str:
    """Returns the folder of a version, whether it is there or not."""
    return open_versions(serving_root).path(version)


def list_files(folder: str) -> tuple[str, ...]:
    """Returns the files below a version's folder as relative paths with ``/``, sorted."""
    return object_versions.list_files(folder) if is_remote(folder) else local_versions.list_files(folder)


def hash_file(folder: str, path: str) -> str:
    """Returns the SHA-256 of a file below a version's folder, in hexadecimal digits."""
    if is_remote(folder):
        return object_versions.hash_file(folder, path)
    return local_versions.hash_file(folder, path)


def read_file(folder: str, path: str, max_bytes: int) -> bytes:
    """Returns the content of a file below a version's folder.

    Raises:
        OSError: it cannot be read.
        ValueError: it is larger than ``max_bytes``.
    """
    if is_remote(folder):
        return object_versions.read_file(folder, path, max_bytes)
    return local_versions.read_file(folder, path, max_bytes)
