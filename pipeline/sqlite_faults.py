"""What can be wrong with a sqlite store, found before a run writes to it, or after one could not.

Closing a file takes away all locks that this process has on it (POSIX), those of MLMD's own copy of
SQLite among them. So none of this may be called while another thread uses the store.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from pathlib import Path

from data import progress
from data.errors import Problem, RefusedError

WAIT_SECONDS = 120.0
_POLL_SECONDS = 0.5
_OWN_TABLES = {"MLMDEnv", "Execution"}
_RESTORE = "Restore it from a backup, or move it away to begin a new history; served versions stay"


def refuse_bad_file(path: Path, wait_seconds: float = WAIT_SECONDS) -> None:
    """Checks that a sqlite store can be written to; waits while another program holds it.

    Args:
        path: of the file; it need not be there yet.
        wait_seconds: how long at most.

    Raises:
        RefusedError: it cannot, and why not.
    """
    if problem := find_bad_file(path) or _wait_until_free(path, wait_seconds) or _find_damage(path):
        raise RefusedError([problem])


def find_bad_file(path: Path) -> Problem | None:
    """Returns what the file system has against a store's file, if anything."""
    if path.is_dir():
        return Problem(str(path), "is a folder, and no sqlite file", "Move it away", "bad_metadata")
    parent = path.parent
    # SQLite writes its journal beside the file.
    for place in (path, parent):
        if place.exists() and not os.access(place, os.W_OK):
            what = "cannot be written to, and every run is recorded there"
            remedy = "Let this user write there, or name another store by --store"
            return Problem(str(place), what, remedy, "store_unwritable")
    return None


def _wait_until_free(path: Path, wait_seconds: float) -> Problem | None:
    if not path.exists() or _try_lock(path):
        return None
    deadline = time.monotonic() + wait_seconds
    with progress.current().stage("waiting for the metadata store") as stage:
        stage.advance(0, f"{path} is locked")
        while time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
            if _try_lock(path):
                return None
    what = f"was locked by another program for {wait_seconds:g} s"
    remedy = f"End what holds it (`fuser {path}` names it), then run the same command again"
    return Problem(str(path), what, remedy, "store_locked")


def _try_lock(path: Path) -> bool:
    """Says whether a writer could begin now; anything but a lock is for others to find."""
    try:
        with contextlib.closing(_open(path)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        return "locked" not in str(error)
    except sqlite3.Error:
        return True
    return True


def _find_damage(path: Path) -> Problem | None:
    """Returns what is wrong with a file's content: no sqlite, damaged, or of another program."""
    if not path.exists() or not path.stat().st_size:
        return None
    try:
        with contextlib.closing(_open(path)) as connection:
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            tables = {str(name) for (name,) in rows}
            if tables and not tables & _OWN_TABLES:
                what = f"is a database of another program (tables {', '.join(sorted(tables)[:3])})"
                remedy = "Name another file by --store, or move this one away"
                return Problem(str(path), what, remedy, "foreign_store")
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        return Problem(str(path), f"cannot be opened ({error})", _RESTORE, "bad_metadata")
    except sqlite3.DatabaseError as error:
        verdict = str(error)
    if verdict == "ok":
        return None
    said = " ".join(str(verdict).split())[:200]
    return Problem(str(path), f"is damaged ({said})", _RESTORE, "bad_metadata")


def _open(path: Path) -> sqlite3.Connection:
    # The connection must not make a file; and it begins and ends transactions when told to only.
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=0, isolation_level=None)
