"""How long work tells that it goes on, without knowing who draws it.

The command line installs a reporter that draws with rich; elsewhere nothing is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Stage(Protocol):
    """One piece of work whose length may be known."""

    def advance(self, amount: float = 1, note: str = "") -> None:
        """Adds ``amount`` to what is done and shows ``note`` beside it."""


class Reporter(Protocol):
    """Draws stages."""

    def stage(self, name: str, total: float | None = None) -> AbstractContextManager[Stage]:
        """Opens a stage of ``total`` units; None where the length is not known."""


class _SilentStage:
    def advance(self, amount: float = 1, note: str = "") -> None:
        pass


class _SilentReporter:
    @contextmanager
    def stage(self, name: str, total: float | None = None) -> Iterator[Stage]:
        yield _SilentStage()


_reporter: Reporter = _SilentReporter()


def current() -> Reporter:
    """Returns the reporter of this process."""
    return _reporter


def install(reporter: Reporter) -> None:
    """Makes ``reporter`` the one that ``current`` returns in this process."""
    global _reporter
    _reporter = reporter
