"""Pushed versions of object stores as folders of this machine, which TensorFlow can open."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from shutil import rmtree

from components.manifest import MANIFEST_FILE, read_manifest, verify_files
from components.version_store import list_files
from data.errors import Problem, RefusedError
from data.object_store import StoreError
from data.open_files import is_remote, is_safe_below, join_path, read_bytes

_THREADS = 8


def fetch_version(address: str, folder: Path) -> Path:
    """Downloads a version and holds it against its manifest.

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
        paths = [path for path in list_files(address) if path in manifest.files]
        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(partial(_download, address, folder), paths))
    except StoreError as error:
        raise RefusedError([error.problem]) from error
    (folder / MANIFEST_FILE).write_bytes(content)
    if problems := verify_files(str(folder)):
        problem = problems[0]
        where = problem.where.replace(str(folder), address)
        raise RefusedError([Problem(where, problem.what, "Push the model again", problem.code)])
    return folder


@contextmanager
def on_this_machine(path: str, folder: Path) -> Iterator[str]:
    """Yields a version's folder: the very one if it is on this machine, else a copy in ``folder`` for now."""
    if not is_remote(path):
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


def _download(address: str, folder: Path, path: str) -> None:
    if not is_safe_below(path):
        return
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(read_bytes(join_path(address, path)))
