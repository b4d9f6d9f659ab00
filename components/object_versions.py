"""Served versions in an object store, which knows neither folders nor renaming.

The objects of a version ``N`` lie below ``N/``. ``N/saved_model.pb`` is written last, and only what has
it counts as a version: TensorFlow loads nothing without it either, so a server that looks meanwhile goes
on with the version that it has, and looks again.

A number is taken by writing ``.pushes/N`` on condition that there is no such object, which two pushers
cannot both do, and stays taken: a push that fails removes its objects and leaves a gap in the numbers.
What a killed push left is removed by a push a day later. ``.pushes/N.FINGERPRINT`` remembers a finished
push beyond the version's deletion.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from absl import logging

from components import local_versions
from data.errors import RefusedError
from data.object_store import ObjectStore, StoredObject, StoreError, open_bucket
from data.open_files import join_path, read_bytes

COMPLETING_FILE = "saved_model.pb"
_CLAIMS = ".pushes"
_THREADS = 8


def list_files(folder: str) -> tuple[str, ...]:
    """Returns the objects below a version's folder as relative paths, sorted."""
    store, key = open_bucket(folder)
    prefix = key + "/"
    names = (entry.key.removeprefix(prefix) for entry in store.list_objects(prefix))
    return tuple(sorted(name for name in names if name and not name.endswith("/")))


def hash_file(folder: str, path: str) -> str:
    """Returns the SHA-256 of an object below a version's folder, in hexadecimal digits."""
    return hashlib.sha256(read_bytes(join_path(folder, path))).hexdigest()


def read_file(folder: str, path: str, max_bytes: int) -> bytes:
    """Returns the content of an object below a version's folder."""
    content = read_bytes(join_path(folder, path))
    if len(content) > max_bytes:
        raise ValueError(f"is larger than {max_bytes} bytes")
    return content


class ObjectVersions:
    """See ``components.version_store.VersionStore``."""

    def __init__(self, serving_root: str) -> None:
        self._address = serving_root.rstrip("/")
        self._store, key = open_bucket(serving_root)
        self._prefix = key + "/" if key else ""

    def path(self, version: int) -> str:
        """Returns the address below which a version's objects are."""
        return f"{self._address}/{version}"

    def list_versions(self) -> tuple[int, ...]:
        """Returns the numbers of the versions that are whole."""
        return tuple(sorted(number for number, names in self._scan().items() if COMPLETING_FILE in names))

    def list_used(self) -> set[int]:
        """Returns the numbers that were taken: half and removed versions' too."""
        return {*self._scan(), *(number for number, _ in self._list_claims())}

    def stage(self) -> StagedVersion:
        """Returns a version in the making."""
        return StagedVersion(self._store, self._prefix)

    def log_push(self, version: int, model_fingerprint: str) -> None:
        """Remembers a version by an empty object, whose name a listing shows."""
        self._store.write(f"{self._prefix}{_CLAIMS}/{version}.{model_fingerprint}", b"")

    def read_push_log(self) -> tuple[tuple[int, str], ...]:
        """Returns (version, model fingerprint) of each finished push."""
        return tuple((version, model) for version, model in self._list_claims() if model)

    def remove_stale(self, now: float | None = None) -> tuple[str, ...]:
        """Removes the objects of half versions, where none was written for a day; returns the numbers."""
        limit = (time.time() if now is None else now) - local_versions.STALE_AFTER_SECONDS
        removed = []
        for number, names in self._scan().items():
            newest = max(entry.modified.timestamp() for entry in names.values())
            if COMPLETING_FILE not in names and newest < limit:
                self._store.delete(entry.key for entry in names.values())
                removed.append(str(number))
        return tuple(removed)

    def _scan(self) -> dict[int, dict[str, StoredObject]]:
        """Returns the objects below each number, by their path."""
        found: dict[int, dict[str, StoredObject]] = defaultdict(dict)
        for entry in _list(self._store, self._prefix):
            if match := re.match(rf"({local_versions.VERSION})/(.+)", entry.key.removeprefix(self._prefix)):
                found[int(match[1])][match[2]] = entry
        return found

    def _list_claims(self) -> Iterator[tuple[int, str]]:
        """Yields (number, fingerprint of a finished push or nothing)."""
        prefix = f"{self._prefix}{_CLAIMS}/"
        for entry in _list(self._store, prefix):
            if match := re.fullmatch(
                rf"({local_versions.VERSION})(?:\.([0-9a-f]+))?", entry.key.removeprefix(prefix)
            ):
                yield int(match[1]), match[2] or ""


class StagedVersion:
    """See ``components.version_store.StagedVersion``. Nothing is uploaded before ``place``."""

    def __init__(self, store: ObjectStore, prefix: str) -> None:
        self._store = store
        self._prefix = prefix
        self._sources: dict[str, Path] = {}
        self._contents: dict[str, bytes] = {}

    def __enter__(self) -> StagedVersion:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """There is nothing that ``place`` has not cleared away."""

    def copy_tree(self, source: str) -> None:
        """Takes all files below a folder."""
        for path in local_versions.list_files(source):
            self.copy_file(str(Path(source) / path), path)

    def copy_file(self, source: str, path: str) -> None:
        """Takes one file."""
        self._sources[path] = Path(source)

    def write_file(self, path: str, content: bytes) -> None:
        """Takes one small file."""
        self._contents[path] = content

    def hash_files(self) -> dict[str, str]:
        """Returns the SHA-256 of what will be uploaded; the store checks digests of its own."""
        hashes = {
            path: local_versions.hash_file(str(source.parent), source.name)
            for path, source in self._sources.items()
        }
        return hashes | {
            path: hashlib.sha256(content).hexdigest() for path, content in self._contents.items()
        }

    def place(self, version: int) -> bool:
        """Takes the number and uploads; removes what it uploaded if that does not succeed."""
        if not self._claim(version):
            return False
        folder = f"{self._prefix}{version}/"
        try:
            self._upload(folder)
        except BaseException:
            self._clear(folder)
            raise
        return True

    def _claim(self, version: int) -> bool:
        key = f"{self._prefix}{_CLAIMS}/{version}"
        claim = json.dumps({"push": uuid.uuid4().hex, "started": time.time()}).encode()
        if not self._store.write(key, claim, only_new=True):
            return False
        if not self._store.write(key, claim, only_new=True):
            return True
        logging.warning(
            "%s: this store overlooks the condition If-None-Match; two pushes at the same moment may take "
            "the same number. Let only one pipeline at a time push here.",
            key,
        )
        return self._store.read(key) == claim

    def _upload(self, folder: str) -> None:
        early = {path: source for path, source in self._sources.items() if path != COMPLETING_FILE}
        with ThreadPoolExecutor(_THREADS) as pool:
            uploads = [
                pool.submit(self._store.upload, source, folder + path) for path, source in early.items()
            ]
            try:
                for upload in uploads:
                    upload.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        for path, content in self._contents.items():
            self._store.write(folder + path, content)
        self._store.upload(self._sources[COMPLETING_FILE], folder + COMPLETING_FILE)

    def _clear(self, folder: str) -> None:
        """Removes what was uploaded, beginning with what would make it a version."""
        try:
            self._store.delete([folder + COMPLETING_FILE])
            self._store.delete(folder + path for path in (*self._sources, *self._contents))
        except (OSError, RefusedError) as error:
            logging.warning("what the failed push left at %s will be removed later: %s", folder, error)


def _list(store: ObjectStore, prefix: str) -> Iterator[StoredObject]:
    """Yields what is below a prefix.

    Raises:
        RefusedError: it cannot be listed.
    """
    try:
        yield from store.list_objects(prefix)
    except StoreError as error:
        raise RefusedError([error.problem]) from error
