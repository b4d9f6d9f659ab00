"""SHA-256 of files; one of this machine that did not change is read once a process."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from pathlib import Path
from typing import BinaryIO

from data.open_files import is_remote, read_bytes

_SETTLED_SECONDS = 2.0
"""What was touched less than this before it was read may change again within one tick of the file system."""
_known: dict[tuple[int, ...], str] = {}


def hash_file(path: str | Path) -> str:
    """Returns the SHA-256 of a file's content, in hexadecimal digits.

    A run looks at a pushed model's files several times: before the baseline is chosen, before it is loaded,
    before the push. What has the same inode, size and times is not read again.

    Raises:
        OSError: it is not there, cannot be read, or is no regular file (a pipe would never end).
    """
    if is_remote(str(path)):
        return hashlib.sha256(read_bytes(str(path))).hexdigest()
    # Without O_NONBLOCK, opening a pipe waits for its other end.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as stream:
        before = _identify(stream)
        if (known := _known.get(before)) is not None:
            return known
        started = time.time()
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        settled = max(before[-2:]) < (started - _SETTLED_SECONDS) * 1e9
        if settled and _identify(stream) == before:
            _known[before] = digest
        return digest


def _identify(stream: BinaryIO) -> tuple[int, ...]:
    """Returns what changes with the content: device, inode, size, and the times of its last changes."""
    found = os.fstat(stream.fileno())
    if not stat.S_ISREG(found.st_mode):
        raise OSError(f"{stream.name} is no regular file")
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
