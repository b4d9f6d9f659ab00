"""Object stores: what reading images and pushing models need of ``s3://`` and ``gs://``.

They are reached by their own clients rather than by Beam's file systems: Beam makes a new S3 client for
each file, asks twice, waits minutes for what is not there, and knows no conditional writes. Credentials
come from the environment, where the stores' clients look for them.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from data.errors import Problem, RefusedError

S3_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_VARIABLES = ("AWS_", "GOOGLE_", "CLOUDSDK_", "STORAGE_EMULATOR_HOST")


@dataclass(frozen=True)
class StoredObject:
    """One object of a bucket."""

    key: str
    modified: datetime


class StoreError(OSError):
    """A store that does not do what was asked, for a reason that a user can mend."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(errno.EIO, f"{problem.what}. {problem.remedy}", problem.where)
        self.problem = problem


class ObjectStore(Protocol):
    """One bucket. Keys have no slash at their beginning.

    Every method raises StoreError where the store, the bucket or the permission is missing.
    """

    def list_objects(self, prefix: str) -> Iterator[StoredObject]:
        """Yields the objects whose keys begin with a prefix, page by page, sorted by key."""

    def exists(self, key: str) -> bool:
        """Says whether there is such an object."""

    def read(self, key: str) -> bytes:
        """Returns an object's content; raises FileNotFoundError if there is none."""

    def write(self, key: str, content: bytes, only_new: bool = False) -> bool:
        """Writes a small object; with ``only_new`` returns False, and changes nothing, if there is one."""

    def upload(self, source: Path, key: str) -> None:
        """Writes a file; the store checks its digest."""

    def delete(self, keys: Iterable[str]) -> None:
        """Deletes objects; those that are not there are no error."""


def _open_s3(bucket: str) -> ObjectStore:
    from data.s3_store import S3Store

    return S3Store(bucket)


def _open_gs(bucket: str) -> ObjectStore:
    from data.gs_store import GsStore

    return GsStore(bucket)


def _open_minio(bucket: str) -> ObjectStore:
    """Opens what Kubeflow Pipelines calls ``minio://``: S3 at an address that the URI does not tell."""
    if not any(os.environ.get(name) for name in S3_ENDPOINT_VARIABLES):
        what = "does not tell where its MinIO is"
        remedy = f"Set {S3_ENDPOINT_VARIABLES[1]} to the server's address"
        raise RefusedError([Problem(f"minio://{bucket}", what, remedy, "no_endpoint")])
    return _open_s3(bucket)


_STORES: dict[str, Callable[[str], ObjectStore]] = {"s3": _open_s3, "minio": _open_minio, "gs": _open_gs}


def is_in_object_store(path: str) -> bool:
    """Says whether a path names a place in a store that this module opens."""
    return path.split("://", 1)[0] in _STORES and "://" in path


def open_bucket(path: str) -> tuple[ObjectStore, str]:
    """Returns the bucket that a path names, and the key behind it, which may be empty.

    Raises:
        RefusedError: if the path names no bucket.
    """
    scheme, _, rest = path.partition("://")
    bucket, _, key = rest.partition("/")
    if not bucket:
        what = "names no bucket"
        raise RefusedError([Problem(path, what, f"Write {scheme}://bucket/folder", "no_bucket")])
    settings = tuple(sorted(item for item in os.environ.items() if item[0].startswith(_VARIABLES)))
    return _open_cached(scheme, bucket, os.getpid(), settings), key.strip("/")


@lru_cache(maxsize=16)
def _open_cached(scheme: str, bucket: str, process: int, settings: tuple[object, ...]) -> ObjectStore:
    """Keeps connections; not across forks, and not when the environment's settings change."""
    del process, settings
    return _STORES[scheme](bucket)


def missing_object(path: str) -> FileNotFoundError:
    """Returns the error of an object that is not there."""
    return FileNotFoundError(errno.ENOENT, "there is no such object", path)


def no_bucket(where: str, bucket: str) -> StoreError:
    """Returns the error of a bucket that does not exist."""
    what = f"there is no bucket {bucket}"
    return StoreError(Problem(where, what, "Correct its name, or create it", "no_bucket"))


def no_permission(where: str, doing: str) -> StoreError:
    """Returns the error of credentials that do not suffice."""
    what = f"the credentials of the environment do not permit {doing} here"
    remedy = "Have that permission given to them, or use others"
    return StoreError(Problem(where, what, remedy, "no_permission"))
