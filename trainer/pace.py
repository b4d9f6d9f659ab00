"""How much time a training has, how many steps to take at once, and when to save."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

# Epochs of a small data set are shorter than it takes to save one.
SECONDS_BETWEEN_CHECKPOINTS = 10.0
# Saving a large network takes at most about this share of the time.
_SAVING_SHARE = 0.05
_SECONDS_PER_CALL = 1.0
_MAX_STEPS_PER_CALL = 256
# What a first validation takes, against training the same images, and against compiling that.
_VALIDATION_COST, _VALIDATION_COMPILING = 0.5, 0.3


class TimeBudget:
    """Counts the time of a training against its limit.

    Args:
        limit_seconds: for the whole training, None for no limit.
        spent_seconds: by earlier attempts at the same training.
        now: tells the time in seconds; this machine's clock if None.
    """

    def __init__(
        self,
        limit_seconds: float | None,
        spent_seconds: float = 0.0,
        now: Callable[[], float] | None = None,
    ) -> None:
        self._limit = limit_seconds
        self._now = now or time.monotonic
        self._started = self._now() - spent_seconds
        self.reserved_seconds = 0.0
        """What the work after the last step (validation) will take."""

    def elapsed_seconds(self) -> float:
        """Returns the time of this attempt and of the earlier ones."""
        return self._now() - self._started

    def share(self) -> float:
        """Returns how much of the time for steps has passed, 0 to 1; always 0 without a limit."""
        if self._limit is None:
            return 0.0
        available = max(self._limit - self.reserved_seconds, 1e-3)
        return min(self.elapsed_seconds() / available, 1.0)

    def remaining_seconds(self) -> float:
        """Returns how much time for steps there still is; infinite without a limit."""
        if self._limit is None:
            return math.inf
        return max(self._limit - self.reserved_seconds - self.elapsed_seconds(), 0.0)

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
        self._first_seconds = 0.0

    def next_count(self, remaining: int, remaining_seconds: float = math.inf) -> int:
        """Returns the steps for the next call: at most ``remaining``, and as many as the time allows."""
        if self._calls == 0:
            return 1
        if self._steps == 0:
            return min(2, remaining)
        seconds = min(_SECONDS_PER_CALL, remaining_seconds)
        fitting = int(seconds * self._steps / max(self._seconds, 1e-9))
        return max(1, min(fitting, remaining, _MAX_STEPS_PER_CALL))

    def note(self, steps: int, seconds: float) -> None:
        """Takes note of a call. The first one compiles, and tells nothing about the pace."""
        self._calls += 1
        if self._calls > 1:
            self._steps += steps
            self._seconds += seconds
        else:
            self._first_seconds = seconds

    def steps_per_second(self) -> float | None:
        """Returns the pace without the first call, None if there was no other."""
        return self._steps / self._seconds if self._steps else None

    def guess_validation_seconds(self, steps: float) -> float:
        """Returns what a first validation may take, 0 before there is a pace.

        Args:
            steps: so many would train as many images.
        """
        pace = self.steps_per_second()
        if not steps or not pace:
            return 0.0
        return steps / pace * _VALIDATION_COST + self._first_seconds * _VALIDATION_COMPILING


class SavePacer:
    """Chooses when to save the state of a training.

    Args:
        now_seconds: time of the training so far.
    """

    def __init__(self, now_seconds: float) -> None:
        self._saved_at_seconds, self._saving_seconds = now_seconds, 0.0

    def is_due(self, now_seconds: float) -> bool:
        """Returns whether it is time to save again."""
        pause = max(SECONDS_BETWEEN_CHECKPOINTS, self._saving_seconds / _SAVING_SHARE)
        return now_seconds - self._saved_at_seconds >= pause

    def note(self, started_seconds: float, ended_seconds: float) -> None:
        """Takes note of when the state was saved."""
        self._saved_at_seconds = ended_seconds
        self._saving_seconds = ended_seconds - started_seconds
