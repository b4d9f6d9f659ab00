"""Where the seconds of a step go: loading TFX, the component's own work, and ours around both."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

LOADING, WORK = "loading TensorFlow and TFX", "its own work"


class StepClock:
    """Adds up laps; what is in none of them is the overhead."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._laps: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def lap(self, name: str) -> Iterator[None]:
        """Adds the seconds until it ends to those of a name."""
        started = time.monotonic()
        try:
            yield
        finally:
            self._laps[name] += time.monotonic() - started

    def describe(self, node: str) -> str:
        """Returns what a step's log says of its time; the interpreter's own start is not known here."""
        laps = ", ".join(f"{self._laps[name]:.2f} s {name}" for name in (LOADING, WORK))
        return f"{node} took {time.monotonic() - self._started:.2f} s: {laps}"
