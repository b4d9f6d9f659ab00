"""What a user sees: progress and answers; everything else goes to a log file.

TensorFlow, absl and Beam write to file descriptor 2 from C++ and from Python. So descriptor 2 itself
is pointed at the log file, and our own messages go to a copy of the original one.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from data import progress
from data.visible_text import make_visible

_PLAIN_INTERVAL_SECONDS = 10.0


class _Console(Console):
    """A console on which nothing that a name or a message holds moves the cursor, colours or deceives."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Returns a string as rich lays it out; every string of a table, tree or line comes through here."""
        return super().render_str(make_visible(text), **options)


# Into a pipe or a file, tables get the room that they need; a terminal has its own width.
answers = _Console(highlight=False, width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160)
"""For answers: stdout."""
messages = _Console(stderr=True, highlight=False)
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
        with contextlib.suppress(OSError):  # The disk of the log may be full.
            sys.stderr.flush()
        os.dup2(terminal, 2)
        os.close(terminal)
        root.removeHandler(handler)
        logging.captureWarnings(False)
        messages._file = previous_file
        stream.close()
        with contextlib.suppress(OSError):
            log.close()


class LineReporter:
    """Progress where stderr is no terminal: a line every ten seconds about the innermost stage."""

    def __init__(self) -> None:
        self._stages: list[_LineStage] = []
        self._lock = threading.Lock()
        self._all_done = threading.Event()

    @contextmanager
    def stage(self, name: str, total: float | None = None) -> Iterator[progress.Stage]:
        """Reports on a stage until it ends; at the end once more if it was reported on before."""
        stage = _LineStage(name, total)
        with self._lock:
            self._stages.append(stage)
            if len(self._stages) == 1:
                self._all_done = threading.Event()
                threading.Thread(target=self._tick, args=(self._all_done,), daemon=True).start()
        try:
            yield stage
        finally:
            with self._lock:
                self._stages.remove(stage)
                if not self._stages:
                    self._all_done.set()
            stage.finish()

    def _tick(self, done: threading.Event) -> None:
        while not done.wait(_PLAIN_INTERVAL_SECONDS):
            with self._lock:
                innermost = self._stages[-1] if self._stages else None
            if innermost is not None:
                innermost.print()


class _LineStage:
    def __init__(self, name: str, total: float | None) -> None:
        self._name, self._total = name, total
        self._done, self._note = 0.0, ""
        self._started = time.monotonic()
        self._was_printed = False

    def advance(self, amount: float = 1, note: str = "") -> None:
        self._done += amount
        self._note = note or self._note

    def finish(self) -> None:
        if self._was_printed:
            self.print()

    def print(self) -> None:
        self._was_printed = True
        counted = f" {self._done:.0f}" if self._done or self._total else ""
        of_total = f"/{self._total:.0f}" if self._total else ""
        note = f" {self._note}" if self._note else ""
        seconds = time.monotonic() - self._started
        messages.print(
            f"  {self._name}:{counted}{of_total}{note} ({seconds:.0f} s)", markup=False, soft_wrap=True
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
        fields = {"note": make_visible(note, one_line=True)} if note else {}
        self._bars.update(self._task, advance=amount, **fields)  # type: ignore[arg-type]


def install_reporter() -> None:
    """Chooses bars on a terminal and lines elsewhere."""
    progress.install(BarReporter() if messages.is_terminal else LineReporter())
