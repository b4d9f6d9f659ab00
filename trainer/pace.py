"""How much time a training has, and how many steps to take at once."""

from __future__ import annotations

import time

_SECONDS_PER_CALL = 1.0
_MAX_STEPS_PER_CALL = 256


class TimeBudget:
    """Counts the time of a training against its limit.

    Args:
        limit_seconds: for the whole training, None for no limit.
        spent_seconds: by earlier attempts at the same training.
    """

    def __init__(self, limit_seconds: float | None, spent_seconds: float = 0.0) -> None:
        self._limit = limit_seconds
        self._started = time.monotonic() - spent_seconds
        self.reserved_seconds = 0.0
        """What the work after the last step (validation) will take."""

    def elapsed_seconds(self) -> float:
        """Returns the time of this attempt and of the earlier ones."""
        return time.monotonic() - self._started

    def share(self) -> float:
        """Returns how much of the time for steps has passed, 0 to 1; always 0 without a limit."""
        if self._limit is None:
            return 0.0
        available = max(self._limit - self.reserved_seconds, 1e-3)
        return min(self.elapsed_seconds() / available, 1.0)

    def is_spent(self) -> bool:
        """Returns whether there is no time for another step."""
        return self.share() >= 1.0


class Pacer:
    """Chooses how many steps one call of the compiled function takes: about a second's worth.

    Fewer would spend time between calls; more would leave the progress display and the time limit behind.
    The choice changes nothing in what is computed.
    """

    def __init__(self) -> None:
        self._steps = 0
        self._seconds = 0.0
        self._calls = 0

    def next_count(self, remaining: int) -> int:
        """Returns the steps for the next call, at most ``remaining``."""
        if self._calls == 0:
            return 1
        if self._steps == 0:
            return min(2, remaining)
        fitting = int(_SECONDS_PER_CALL * self._steps / max(self._seconds, 1e-9))
        return max(1, min(fitting, remaining, _MAX_STEPS_PER_CALL))

    def note(self, steps: int, seconds: float) -> None:
        """Takes note of a call. The first one compiles, and tells nothing about the pace."""
        self._calls += 1
        if self._calls > 1:
            self._steps += steps
            self._seconds += seconds

    def steps_per_second(self) -> float | None:
        """Returns the pace without the first call, None if there was no other."""
        return self._steps / self._seconds if self._steps else None
