"""Pushed versions of object stores as folders of this machine, which TensorFlow can open."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from shutil import rmtree

from components.manifest import MANIFEST_FILE, read_manifest, refuse_changed, verify_files
from components.version_store import list_files
from data.errors import Problem, RefusedError
from data.object_store import StoreError
from data.open_files import is_remote, join_path, read_bytes
from data.pushed_files import check_table, find_changes
from data.replace_file import replace_file

_THREADS = 8


def fetch_version(address: str, folder: Path) -> Path:
    """Downloads a version; each file is held against its manifest before it is written down.

    Args:
        address: of the version, in an object store.
        folder: where it goes; made if need be. What was fetched there before is used again if it is
            what the manifest says.

    Raises:
        RefusedError: it cannot be read, or is not what was pushed.
    """
    try:
        manifest = read_manifest(address)
        content = manifest.to_bytes()
        if _is_whole(folder, content):
            return folder
        problems = check_table(address, manifest.files, manifest.model_fingerprint)
        if not problems:
            fetch = partial(_download, address, folder, manifest.files, set(list_files(address)))
            with ThreadPoolExecutor(_THREADS) as pool:
                problems = [problem for found in pool.map(fetch, manifest.files) for problem in found]
    except StoreError as error:
        raise RefusedError([error.problem]) from error
    if problems:
        raise RefusedError([replace(one, remedy="Push the model again") for one in problems])
    _remove_others(folder, manifest.files)
    replace_file(folder / MANIFEST_FILE, content)
    return folder


@contextmanager
def on_this_machine(path: str, folder: Path) -> Iterator[str]:
    """Yields a version's folder: the very one if it is on this machine, else a copy in ``folder`` for now.

    Args:
        path: of the version; nothing, where there is none, is yielded as it is.
        folder: for the copy.

    Raises:
        RefusedError: a file of the version is not what was pushed.
    """
    if not is_remote(path):
        if path:
            refuse_changed(path)
        yield path
        return
    try:
        yield str(fetch_version(path, folder / path.rsplit("/", 1)[1]))
    finally:
        rmtree(folder, ignore_errors=True)


def _is_whole(folder: Path, manifest: bytes) -> bool:
    try:
        return (folder / MANIFEST_FILE).read_bytes() == manifest and not verify_files(str(folder))
    except (OSError, RefusedError):
        return False


def _download(
    address: str, folder: Path, hashes: Mapping[str, str], there: Container[str], path: str
) -> list[Problem]:
    """Writes a file that is as it was pushed; returns what is wrong with one that is not."""
    target = folder / path
    content = read_bytes(join_path(address, path)) if path in there else None

    def hash_content(*_: str) -> str:
        if content is None:
            raise FileNotFoundError(path)
        return sha256(content).hexdigest()

    if problems := find_changes(address, {path: hashes[path]}, hash_one=hash_content):
        return problems
    assert content is not None
    target.parent.mkdir(parents=True, exist_ok=True)
    replace_file(target, content)
    return []


def _remove_others(folder: Path, hashes: Container[str]) -> None:
    """Removes what an earlier version of the same number left."""
    for path in list_files(str(folder)):
        if path not in hashes and not path.endswith(".tmp"):  # Another process may be writing that one.
            (folder / path).unlink(missing_ok=True)
