"""Room on a disk: asked for before much is written, and said where it ran out."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from data.errors import Problem, RefusedError
from data.open_files import is_remote

LEAST_BYTES = 100_000_000
"""What a run may well need where nothing better is known."""
_ERRNOS = (errno.ENOSPC, errno.EDQUOT)
_TEXTS = ("No space left on device", "Disk quota exceeded", "database or disk is full")
_PATH_BEFORE = re.compile(r"(/[^\s:;'\"\]]+)[;:]? (?:No space left|Disk quota)")


def describe_bytes(number: float) -> str:
    """Returns ``12 kB``, ``3.4 MB``, ``1.2 GB``."""
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number / 1e3:.0f} kB"


def free_bytes(path: str | Path) -> int | None:
    """Returns how much may still be written where a path is or will be; None if that cannot be told."""
    place = Path(path).absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        usage = shutil.disk_usage(place)
    except OSError:
        return None
    # File systems over a network may have no figures at all.
    return usage.free if usage.total else None


def refuse_small_disk(path: str, needed_bytes: int, purpose: str) -> None:
    """Checks before much is written that there is room for it.

    Args:
        path: a folder of this machine that exists or will; places elsewhere are not asked.
        needed_bytes: what will be written at least.
        purpose: what that is, as a noun (``the records``).

    Raises:
        RefusedError: there is not.
    """
    free = None if is_remote(path) else free_bytes(path)
    if free is not None and free < needed_bytes:
        raise RefusedError([disk_full(path, needed_bytes, purpose, free)])


def disk_full(path: str, needed_bytes: int, purpose: str, free: int | None = None) -> Problem:
    """Returns the problem of a disk with too little room.

    Args:
        path: the file or folder that could not be written.
        needed_bytes: an estimate.
        purpose: what needs it, as a noun.
        free: bytes that are free; asked for if None.
    """
    free = free_bytes(path) if free is None else free
    left = "an unknown number of bytes are" if free is None else f"{describe_bytes(free)} are"
    what = f"the disk is full: {left} free, and {purpose} need about {describe_bytes(needed_bytes)}"
    remedy = (
        "Make room there, then run the same command again; what was finished is kept, and the versions "
        "that are served are untouched"
    )
    return Problem(path, what, remedy, "disk_full")


def find_full_disk(error: BaseException, places: Sequence[Path]) -> str | None:
    """Returns the path that could not be written if a full disk is behind an error, else None.

    Libraries wrap the operating system's error, and some keep its text only, or not even the path; then
    it is the place with the least room.

    Args:
        error: with the errors that led to it.
        places: where something was being written.
    """
    for cause in chain(error):
        text = str(cause)
        if not (isinstance(cause, OSError) and cause.errno in _ERRNOS) and not any(
            sign in text for sign in _TEXTS
        ):
            continue
        if isinstance(cause, OSError) and isinstance(cause.filename, str):
            return cause.filename
        if found := _PATH_BEFORE.search(text):
            return found[1]
        free = {place: free_bytes(place) for place in places}
        known = [(room, str(place)) for place, room in free.items() if room is not None]
        return min(known)[1] if known else str(next(iter(places), "the disk"))
    return None


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yields an error and those that led to it, the last one first."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        current = waiting.pop(0)
        if current is not None and id(current) not in seen:
            seen.add(id(current))
            yield current
            waiting += [current.__cause__, current.__context__]
