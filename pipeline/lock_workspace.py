"""One run at a time in a workspace: the others wait, and are told for whom.

Runs of one workspace share files: checkpoints and samples, the cache's artifacts, served versions, and a
sqlite store. So a run holds the workspace's lock from its first file to its last, whatever store it
writes to. The lock is the kernel's, on an open file: it ends with its process, however that dies. What
the file says only tells who holds it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from data import progress
from data.errors import Problem, RefusedError
from data.parse_json import parse_json
from pipeline.process_identity import describe_process

_POLL_SECONDS = 0.5
_MAX_BYTES = 10_000


@dataclass(frozen=True)
class Holder:
    """Who holds a workspace's lock, as it wrote itself down."""

    run_id: str
    pid: int
    host: str
    since: float
    """Seconds since the epoch."""

    def sentence(self) -> str:
        """Returns ``run X (process N on HOST, since TIME)``."""
        since = datetime.fromtimestamp(self.since).astimezone()
        return f"run {self.run_id} (process {self.pid} on {self.host}, since {since:%Y-%m-%d %H:%M:%S})"


@contextlib.contextmanager
def lock_workspace(
    lock_file: Path, run_id: str, wait: bool = True, tell: Callable[[str], None] = lambda _: None
) -> Iterator[None]:
    """Holds a workspace for a run.

    Args:
        lock_file: is made where it is not there, and stays there.
        run_id: of the run that wants it.
        wait: until it is free; else refuse.
        tell: is given a sentence whenever somebody else is seen to hold it.

    Raises:
        RefusedError: if it is held and ``wait`` is false, or it cannot be locked at all.
    """
    descriptor = _open(lock_file)
    # A child that is forked must not keep the lock when its parent dies.
    watched = {"descriptor": descriptor}
    os.register_at_fork(after_in_child=lambda: _close(watched))
    held = False
    try:
        if not _try(lock_file, descriptor):
            if not wait:
                raise _busy(lock_file)
            _wait(lock_file, descriptor, tell)
        held = True
        with contextlib.suppress(OSError):  # On a full disk the lock holds as well, unsigned.
            _sign(descriptor, run_id)
        yield
    finally:
        if held:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, 0)
        _close(watched)


def read_holder(lock_file: Path) -> Holder | None:
    """Returns who last wrote itself down and did not leave; it may have died since."""
    try:
        values: dict[str, Any] = parse_json(lock_file.read_bytes()[:_MAX_BYTES])
        return Holder(str(values["run_id"]), int(values["pid"]), str(values["host"]), float(values["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _open(lock_file: Path) -> int:
    try:
        lock_file.parent.mkdir(parents=True, exist_ok=True)
        return os.open(lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        remedy = "Name a folder that can be written to, by --workspace"
        what = f"cannot be written ({error.strerror or error})"
        raise RefusedError([Problem(str(lock_file), what, remedy, "workspace_unwritable")]) from None


def _try(lock_file: Path, descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        what = f"cannot be locked ({error.strerror or error})"
        remedy = "Name a workspace on a file system with locks, by --workspace"
        raise RefusedError([Problem(str(lock_file), what, remedy, "workspace_unlockable")]) from None
    return True


def _wait(lock_file: Path, descriptor: int, tell: Callable[[str], None]) -> None:
    seen: Holder | None = None
    with progress.current().stage("waiting for the workspace") as stage:
        while True:
            holder = read_holder(lock_file)
            if holder is not None and holder != seen:
                tell(f"waiting for {holder.sentence()}; --no-wait refuses instead")
                stage.advance(0, f"held by run {holder.run_id}, process {holder.pid}")
                seen = holder
            if _try(lock_file, descriptor):
                return
            time.sleep(_POLL_SECONDS)


def _busy(lock_file: Path) -> RefusedError:
    holder = read_holder(lock_file)
    what = f"is held by {holder.sentence() if holder else 'another run'}"
    remedy = "Wait for it, leave out --no-wait, or name another --workspace"
    return RefusedError([Problem(str(lock_file.parent), what, remedy, "workspace_busy")])


def _sign(descriptor: int, run_id: str) -> None:
    process = json.loads(describe_process())
    holder = {"run_id": run_id, "pid": process["pid"], "host": process["host"], "since": time.time()}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(holder).encode(), 0)


def _close(watched: dict[str, int]) -> None:
    if (descriptor := watched.pop("descriptor", None)) is not None:
        os.close(descriptor)
