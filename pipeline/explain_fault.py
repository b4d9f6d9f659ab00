"""The sentence behind an error of the machine: a full disk, a store that is away, locked or damaged."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections.abc import Sequence
from pathlib import Path

from data.errors import Problem
from data.free_space import LEAST_BYTES, chain, disk_full, find_full_disk

_MOST_FILES = 100_000
_STORE_MODULE = "ml_metadata.errors"
_STORE_WORDS = re.compile(r"executing query|MLMD|mysql_|PostgreSQL")
_KEPT = "then run the same command again; what was finished is kept"
_SIGNS = (
    (r"readonly database|read-only", "cannot be written to", "Let this user write to it", "store_unwritable"),
    (r"malformed|not a database", "is damaged", "Restore it from a backup", "bad_metadata"),
    (r"aborted|locked|Deadlock", "is locked by another program", "End what holds it", "store_locked"),
    (
        r"gone away|Lost connection|Connection refused|server closed|UNAVAILABLE|terminating",
        "went away",
        "Start the server",
        "store_unreachable",
    ),
)


def explain_fault(
    error: BaseException, places: Sequence[Path], store: str, purpose: str = "the files of this run"
) -> Problem | None:
    """Returns the problem of an error that nobody's input is to blame for; None for all others.

    Args:
        error: what was raised, with the errors that led to it.
        places: folders that were written to, the workspace first.
        store: the metadata store's address.
        purpose: what needs the room on a full disk, as a noun.
    """
    if path := find_full_disk(error, places):
        return disk_full(path, _estimate_bytes(places[0]) if places else LEAST_BYTES, purpose)
    for cause in chain(error):
        # Of an MLMD client that is being made, RuntimeErrors.
        by_type = type(cause).__module__ == _STORE_MODULE
        if not by_type and not (isinstance(cause, RuntimeError) and _STORE_WORDS.search(str(cause))):
            continue
        for sign, what, remedy, code in _SIGNS:
            if re.search(sign, str(cause), re.IGNORECASE):
                return Problem(store, what, f"{remedy}, {_KEPT}", code)
    return None


def _estimate_bytes(workspace: Path) -> int:
    """Returns twice the largest file's size among the workspace's first many: what is written is like it."""
    largest = 0
    files = (Path(folder, name) for folder, _, names in os.walk(workspace) for name in names)
    for path in itertools.islice(files, _MOST_FILES):
        with contextlib.suppress(OSError):  # Somebody removed it meanwhile.
            largest = max(largest, path.lstat().st_size)
    return max(2 * largest, LEAST_BYTES)
