"""How much memory a process and all below it hold: proportional set sizes, added up five times a second."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import psutil

_PAUSE_SECONDS = 0.2
_COMPONENT = re.compile(r"^(\S+ [\d:]+),(\d{3}) INFO \S+: Component (\w+) is (running|finished)\.", re.M)


@dataclass(frozen=True)
class Sample:
    """The memory of a tree of processes at one moment (seconds since the epoch)."""

    time: float
    memory_bytes: int


class MemoryWatch:
    """Measures a process and all its descendants from a thread, until the ``with`` block ends.

    A page that several processes share counts once, in parts. What is shorter than a tenth of a second may be
    missed; the kernel's cache of files is nobody's.
    """

    def __init__(self, process_id: int) -> None:
        self._root = psutil.Process(process_id)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.samples: list[Sample] = []

    def __enter__(self) -> MemoryWatch:
        """Starts to measure."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Ends it."""
        self._stop.set()
        self._thread.join()

    @property
    def peak_bytes(self) -> int:
        """The largest total so far."""
        return max((sample.memory_bytes for sample in self.samples), default=0)

    def _watch(self) -> None:
        while not self._stop.wait(_PAUSE_SECONDS):
            if measured := measure_tree(self._root):
                self.samples.append(Sample(time.time(), measured))


def measure_tree(root: psutil.Process) -> int:
    """Returns the proportional set sizes of a process and its descendants, in bytes; 0 once it is gone."""
    try:
        processes = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    total = 0
    for process in processes:
        try:
            total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):  # A zombie has no memory.
            continue
    return total


def find_peaks(samples: Sequence[Sample], log: str) -> dict[str, int]:
    """Returns the peak of each component, by what the log of a run says of when it ran.

    Args:
        samples: in their order.
        log: with lines of the local time and "Component NAME is running." or "is finished.".
    """
    changes = [
        (datetime.fromisoformat(stamp).timestamp() + int(milliseconds) / 1000, name, state == "running")
        for stamp, milliseconds, name, state in _COMPONENT.findall(log)
    ]
    peaks: dict[str, int] = {}
    for sample in samples:
        earlier = [change for change in changes if change[0] <= sample.time]
        name = earlier[-1][1] if earlier and earlier[-1][2] else "between components"
        peaks[name] = max(peaks.get(name, 0), sample.memory_bytes)
    return peaks
