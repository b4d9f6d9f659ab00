"""Reading and listing files, on this machine, in object stores or wherever Beam's file systems reach.

``s3://`` and ``gs://`` go through ``data.object_store``, any other ``scheme://`` through
``apache_beam.io.filesystems``, which is imported only then.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import Problem, RefusedError
from data.object_store import StoreError, is_in_object_store, open_bucket

_IGNORED_NAMES = frozenset({"thumbs.db", "desktop.ini", "__macosx"})


@dataclass(frozen=True)
class FileTree:
    """What lies below a root.

    Attributes:
        root: the root as given, without a slash at its end.
        files: paths below the root, with ``/`` between their parts, sorted; hidden files are left out.
        folders: the folders below the root, in the same form (on object stores, those with files).
        problems: links that lead out of the root, and folders that cannot be read.
    """

    root: str
    files: tuple[str, ...]
    folders: frozenset[str]
    problems: tuple[Problem, ...] = ()

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


def is_hidden(name: str) -> bool:
    """Says whether a file or folder is one that systems leave behind (.DS_Store, Thumbs.db, ...)."""
    return name.startswith(".") or name.lower() in _IGNORED_NAMES


def read_bytes(path: str) -> bytes:
    """Returns a file's content.

    Raises:
        OSError: if it cannot be read.
    """
    if not is_remote(path):
        # Reading by Path.read_bytes takes longer than the decoding of a small mask.
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read()
    if is_in_object_store(path):
        store, key = open_bucket(path)
        return store.read(key)
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
    files: list[str] = []
    folders: set[str] = set()
    problems: list[Problem] = []
    real_root = os.path.realpath(root)
    for kind, below, problem in _walk(real_root, "", real_root, (real_root,)):
        if problem is not None:
            problems.append(problem)
        elif not _is_utf8(below):
            shown = join_path(root, below).encode("utf-8", "backslashreplace").decode()
            what, remedy = "its name is not UTF-8", "Rename it: names become ids in records and reports"
            problems.append(Problem(shown, what, remedy, "bad_name"))
        elif kind == "file":
            files.append(below)
        else:
            folders.add(below)
    return FileTree(root, tuple(sorted(files)), frozenset(folders), tuple(sorted(problems)))


def _walk(
    folder: str, prefix: str, real_root: str, ancestors: tuple[str, ...]
) -> Iterator[tuple[str, str, Problem | None]]:
    """Yields (kind, path below the root, problem); follows links that stay below the root."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
        yield "folder", prefix, Problem(folder, what, "Make the folder readable", "unreadable_file")
        return
    for entry in entries:
        if is_hidden(entry.name):
            continue
        below = f"{prefix}{entry.name}"
        real = os.path.realpath(entry.path) if entry.is_symlink() else ""
        if real and not (real + "/").startswith(real_root + "/"):
            yield "link", below, _escaping_link(entry.path, real)
        elif entry.is_dir():
            yield "folder", below, None
            if real not in ancestors:
                yield from _walk(entry.path, below + "/", real_root, (*ancestors, real or entry.path))
        else:
            yield "file", below, None


def _is_utf8(path: str) -> bool:
    """Says whether a name has no bytes that Python could only keep as surrogates."""
    return not any("\ud800" <= char <= "\udfff" for char in path)


def _escaping_link(path: str, target: str) -> Problem:
    what = f"is a link out of the data set, to {target}"
    remedy = "Put the file itself here, or choose a data.root that holds both"
    return Problem(path, what, remedy, "escaping_link")


def _list_remote(root: str) -> FileTree:
    paths = _list_objects(root) if is_in_object_store(root) else _match_files(root)
    files = sorted(
        below
        for below in (path[len(root) :].lstrip("/") for path in paths)
        if below and not below.endswith("/") and not any(is_hidden(part) for part in below.split("/"))
    )
    if not files:
        what = "there is no file below it"
        raise RefusedError([Problem(root, what, "Name the folder that holds the data set", "missing_folder")])
    folders = {
        "/".join(parts[:end])
        for parts in (below.split("/") for below in files)
        for end in range(1, len(parts))
    }
    return FileTree(root, tuple(files), frozenset(folders))


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
