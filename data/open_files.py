"""Reading and listing files, on this machine, in object stores or wherever Beam's file systems reach.

``s3://`` and ``gs://`` go through ``data.object_store``, any other ``scheme://`` through
``apache_beam.io.filesystems``, which is imported only then.
"""

from __future__ import annotations

import contextlib
import errno
import os
import posixpath
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from data.errors import Problem, RefusedError
from data.object_store import StoreError, is_in_object_store, open_bucket
from data.walk_folder import find_bad_name, is_hidden, walk_folder


@dataclass(frozen=True)
class FileTree:
    """What lies below a root.

    Attributes:
        root: the root as given, without a slash at its end.
        files: paths below the root, with ``/`` between their parts, sorted; hidden files are left out.
        folders: the folders below the root, in the same form (on object stores, those with files).
        problems: links that lead out of the root, folders that cannot be read, and names that cannot be ids.
        hidden: the files that are left out as hidden, in the same form.
    """

    root: str
    files: tuple[str, ...]
    folders: frozenset[str]
    problems: tuple[Problem, ...] = ()
    hidden: tuple[str, ...] = ()

    def path(self, below: str) -> str:
        """Returns the whole path of a path below the root."""
        return join_path(self.root, below)


def is_remote(path: str) -> bool:
    """Says whether a path names a place outside this machine's file system (``gs://...``)."""
    return "://" in path


def join_path(root: str, below: str) -> str:
    """Returns ``root/below``."""
    return posixpath.join(root, below) if below else root


def is_safe_below(path: str) -> bool:
    """Says whether a relative path stays below whatever it is joined to."""
    parts = path.replace("\\", "/").split("/")
    leads_out = is_remote(path) or path.startswith(("/", "\\", "~")) or ".." in parts
    # No file system takes a NUL, and Python raises a ValueError for it.
    return bool(path) and not leads_out and "\0" not in path


class FileTooLargeError(OSError):
    """A file of more bytes than its reader wants to have in memory."""


def read_bytes(path: str, max_bytes: int | None = None) -> bytes:
    """Returns a file's content.

    Args:
        path: of a file; pipes and devices, whose reading may never end, are refused.
        max_bytes: read no larger one.

    Raises:
        FileTooLargeError: if it is larger.
        OSError: if it cannot be read.
    """
    if not is_remote(path):
        # Reading by Path.read_bytes takes longer than the decoding of a small mask.
        with open(path, "rb", opener=_open_at_once) as file:
            _check_status(path, os.fstat(file.fileno()), max_bytes)
            return file.read()
    if is_in_object_store(path):
        store, key = open_bucket(path)
        content = store.read(key)
    else:
        content = _read_by_beam(path)
    if max_bytes is not None and len(content) > max_bytes:
        raise _too_large(path, len(content))
    return content


def _open_at_once(path: str, flags: int) -> int:
    """Opens without waiting for somebody who writes into a pipe."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def _check_status(path: str, status: os.stat_result, max_bytes: int | None) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = "pipe" if stat.S_ISFIFO(status.st_mode) else "device"
        raise OSError(errno.EINVAL, f"it is a {kind}, not a file", path)
    if max_bytes is not None and status.st_size > max_bytes:
        raise _too_large(path, status.st_size)


def _too_large(path: str, size_bytes: int) -> FileTooLargeError:
    return FileTooLargeError(errno.EFBIG, f"it has {size_bytes:,} bytes", path)


def _read_by_beam(path: str) -> bytes:
    try:
        with _beam_file_systems(path).open(path, compression_type="uncompressed") as stream:
            content: bytes = stream.read()
    except (OSError, RefusedError):
        raise
    except Exception as error:
        # Each object store's client raises exceptions of its own.
        raise OSError(f"{type(error).__name__}: {error}") from error
    return content


def exists(path: str) -> bool:
    """Says whether a file or folder is there."""
    if not is_remote(path):
        return Path(path).exists()
    if is_in_object_store(path):
        store, key = open_bucket(path)
        return store.exists(key) or any(True for _ in store.list_objects(key + "/"))
    return bool(_beam_file_systems(path).exists(path))


def find_newest(paths: Iterable[str]) -> str | None:
    """Returns which of these local files, or of their folders, changed last, and when; None if none is there.

    A file changes when it is written or given its name, a folder when a file comes or goes.
    """
    local = {path for path in paths if not is_remote(path)}
    newest: tuple[float, str] = (0.0, "")
    for path in local | {posixpath.dirname(path) for path in local}:
        with contextlib.suppress(OSError):
            status = Path(path).stat()
            newest = max(newest, (status.st_ctime if path in local else status.st_mtime, path))
    return f"{newest[1]} ({datetime.fromtimestamp(newest[0]):%Y-%m-%d %H:%M:%S})" if newest[1] else None


def list_files(root: str) -> FileTree:
    """Returns all files below a root.

    Raises:
        RefusedError: if there is no such folder.
    """
    if is_remote(root):
        return _list_remote(root.rstrip("/") if root.rstrip("/").count("/") > 1 else root)
    root = root.rstrip("/") or "/"
    if not Path(root).is_dir():
        what = "is a file, not a folder" if Path(root).exists() else "there is no such folder"
        raise RefusedError([Problem(root, what, "Name the folder that holds the data set", "missing_folder")])
    found: dict[str, list[str]] = {"file": [], "folder": [], "hidden": []}
    problems: list[Problem] = []
    for entry in walk_folder(os.path.realpath(root)):
        if entry.problem is not None:
            problems.append(entry.problem)
        elif (problem := find_bad_name(join_path(root, entry.below), entry.below)) is None:
            found[entry.kind].append(entry.below)
        elif entry.kind == "file":
            # A folder of such a name shows in the names of its files.
            problems.append(problem)
    return FileTree(
        root,
        tuple(sorted(found["file"])),
        frozenset(found["folder"]),
        tuple(sorted(problems)),
        tuple(sorted(found["hidden"])),
    )


def _list_remote(root: str) -> FileTree:
    paths = _list_objects(root) if is_in_object_store(root) else _match_files(root)
    below_root = sorted(path[len(root) :].lstrip("/") for path in paths)
    below_root = [below for below in below_root if below and not below.endswith("/")]
    hidden = [below for below in below_root if any(is_hidden(part) for part in below.split("/"))]
    unseen = set(hidden)
    bad = {
        below: problem
        for below in below_root
        if below not in unseen and (problem := find_bad_name(join_path(root, below), below))
    }
    files = [below for below in below_root if below not in bad and below not in unseen]
    if not files:
        what = "there is no file below it"
        raise RefusedError([Problem(root, what, "Name the folder that holds the data set", "missing_folder")])
    folders = {
        "/".join(parts[:end])
        for parts in (below.split("/") for below in files)
        for end in range(1, len(parts))
    }
    return FileTree(root, tuple(files), frozenset(folders), tuple(sorted(bad.values())), tuple(hidden))


def _list_objects(root: str) -> list[str]:
    """Returns the paths of all objects below a folder of a bucket."""
    try:
        store, key = open_bucket(root)
        prefix = key + "/" if key else ""
        bucket = root.removesuffix(key)
        return [join_path(bucket, entry.key) for entry in store.list_objects(prefix)]
    except StoreError as error:
        raise RefusedError([error.problem]) from error


def _match_files(root: str) -> list[str]:
    """Returns the paths of all files below a folder, by Beam."""
    file_systems = _beam_file_systems(root)
    try:
        return [entry.path for entry in file_systems.match([root + "/**"])[0].metadata_list]
    except Exception as error:
        what = f"cannot be listed ({' '.join(str(error).split())})"
        remedy = "Check the path, and that this machine may read it"
        raise RefusedError([Problem(root, what, remedy, "unreadable_file")]) from error


def _beam_file_systems(path: str) -> Any:
    """Imports Beam only where a path needs it: it takes seconds."""
    from apache_beam.io.filesystems import FileSystems

    try:
        FileSystems.get_filesystem(path)
    except ValueError as error:
        scheme = path.split("://", 1)[0]
        what = f"this installation of Apache Beam opens no {scheme}:// paths ({error})"
        remedy = (
            "Use a local path, s3:// (MinIO's too, by AWS_ENDPOINT_URL_S3), gs://, or install Beam's extra"
        )
        raise RefusedError([Problem(path, what, remedy, "unknown_scheme")]) from error
    return FileSystems
