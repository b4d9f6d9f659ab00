"""What a step does when Kubernetes stops its pod: SIGTERM first, and half a minute later the end."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Any

EXIT_STOPPED = 128 + signal.SIGTERM
"""What a shell says of a process that ended by this signal."""


class StepStoppedError(KeyboardInterrupt):
    """The step was told to stop. As with Ctrl-C, no executor that bears failures may bear this one."""


@contextlib.contextmanager
def heeding_sigterm() -> Iterator[None]:
    """Raises where SIGTERM arrives, once: what has to be written then is written in peace.

    Raises:
        StepStoppedError: on SIGTERM, in the main thread as soon as it is in Python.
    """

    def stop(*_: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise StepStoppedError("the pod was stopped from outside (SIGTERM)")

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
