"""Whether the process of a run still lives, told from what it left in the metadata store."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def describe_process() -> str:
    """Returns what later tells whether the process of a run still lives."""
    return json.dumps(
        {"pid": os.getpid(), "host": socket.gethostname(), "started": _process_start(os.getpid())}
    )


def is_alive(process: Mapping[str, Any]) -> bool | None:
    """Says whether the described process lives; None if it is one of another host."""
    if not process:
        return False
    if process.get("host") != socket.gethostname():
        return None
    start = _process_start(int(process["pid"]))
    return bool(start) and start == process.get("started")


def _process_start(pid: int) -> str:
    """Tells one process of this id from a later one: its start time in clock ticks since boot."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return ""
