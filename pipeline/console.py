"""What a user sees: progress and answers; everything else goes to a log file.

TensorFlow, absl and Beam write to file descriptor 2 from C++ and from Python. So descriptor 2 itself
is pointed at the log file, and our own messages go to a copy of the original one.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from data import progress

_PLAIN_INTERVAL_SECONDS = 10.0

# Into a pipe or a file, tables get the room that they need; a terminal has its own width.
answers = Console(highlight=False, width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160)
"""For answers: stdout."""
messages = Console(stderr=True, highlight=False)
"""For progress, warnings and refusals: stderr as the process found it."""


@contextmanager
def quiet(log_file: Path, verbose: bool) -> Iterator[None]:
    """Sends all that libraries write to stderr, and all logging, to ``log_file``.

    Args:
        log_file: appended to; its folder is made.
        verbose: also leave the noise on stderr.
    """
    log_file.parent.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0")
    sys.stderr.flush()
    terminal = os.dup(2)
    stream = os.fdopen(os.dup(terminal), "w", buffering=1)
    previous_file = messages._file  # None: rich looks sys.stderr up at each write
    messages.file = stream
    log = log_file.open("a", buffering=1)
    handler = logging.StreamHandler(log)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    warnings.simplefilter("default")
    if not verbose:
        os.dup2(log.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(terminal, 2)
        os.close(terminal)
        root.removeHandler(handler)
        logging.captureWarnings(False)
        messages.file = previous_file or sys.stderr
        stream.close()
        log.close()


class LineReporter:
    """Progress where stderr is no terminal: a line now and then."""

    @contextmanager
    def stage(self, name: str, total: float | None = None) -> Iterator[progress.Stage]:
        """Prints a line at most every ten seconds, and one at the end."""
        stage = _LineStage(name, total)
        yield stage
        stage.finish()


class _LineStage:
    def __init__(self, name: str, total: float | None) -> None:
        self._name, self._total = name, total
        self._done, self._note = 0.0, ""
        self._started = self._printed = time.monotonic()

    def advance(self, amount: float = 1, note: str = "") -> None:
        self._done += amount
        self._note = note or self._note
        if time.monotonic() - self._printed >= _PLAIN_INTERVAL_SECONDS:
            self._print()

    def finish(self) -> None:
        if self._printed > self._started:
            self._print()

    def _print(self) -> None:
        self._printed = time.monotonic()
        of_total = f"/{self._total:g}" if self._total else ""
        messages.print(
            f"  {self._name}: {self._done:g}{of_total} {self._note} ({self._printed - self._started:.0f} s)",
            markup=False,
            soft_wrap=True,
        )


class BarReporter:
    """Progress on a terminal: a bar a stage."""

    def __init__(self) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=messages,
            transient=True,
        )
        self._open = 0

    @contextmanager
    def stage(self, name: str, total: float | None = None) -> Iterator[progress.Stage]:
        """Shows a bar until the stage ends."""
        if self._open == 0:
            self._progress.start()
        self._open += 1
        task = self._progress.add_task(name, total=total, note="")
        try:
            yield _BarStage(self._progress, task)
        finally:
            self._progress.remove_task(task)
            self._open -= 1
            if self._open == 0:
                self._progress.stop()


class _BarStage:
    def __init__(self, bars: Progress, task: object) -> None:
        self._bars, self._task = bars, task

    def advance(self, amount: float = 1, note: str = "") -> None:
        fields = {"note": note} if note else {}
        self._bars.update(self._task, advance=amount, **fields)  # type: ignore[arg-type]


def install_reporter() -> None:
    """Chooses bars on a terminal and lines elsewhere."""
    progress.install(BarReporter() if messages.is_terminal else LineReporter())
