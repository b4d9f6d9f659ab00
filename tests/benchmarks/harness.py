"""What every measurement shares: rows, alternating repetitions, peak memory, and its own process."""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

PROGRESS_MARK = "progress: "
"""A line of a measurement's stderr that begins so is shown; all others go to its log."""


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: what was measured.
        unit: of ``measured`` and of ``limit``.
        measured: ours, the median over the repetitions.
        limit: the bare work of the same run, likewise.
        ratio: the median of the repetitions' ratios of ours to the limit.
        target: in words, such as ``>= 0.6``; empty where there is none.
        met: whether the target is met; None where there is none.
        peak_memory_bytes: of the process that did the work.
        note: what one has to know to read the numbers.
    """

    name: str
    unit: str
    measured: float
    limit: float
    ratio: float
    target: str
    met: bool | None
    peak_memory_bytes: int
    note: str = ""


@dataclass(frozen=True)
class Job:
    """What a measurement is told.

    Attributes:
        scratch: a folder with what ``prepare.py`` left, for anything else too.
        quick: sizes that only show that the measurement works.
    """

    scratch: Path
    quick: bool

    @property
    def pairs(self) -> int:
        """How often ours and the limit take turns."""
        return 1 if self.quick else 3


def run_measurement(measure: Callable[[Job], Sequence[Row]]) -> None:
    """Is a measurement's program: reads the arguments and writes the rows as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    rows = measure(Job(arguments.scratch, arguments.quick))
    arguments.output.write_text(json.dumps([asdict(row) for row in rows]))


def note(text: str) -> None:
    """Shows what the measurement is at."""
    print(PROGRESS_MARK + text, file=sys.stderr, flush=True)


def peak_memory_bytes(who: int = resource.RUSAGE_SELF) -> int:
    """Returns the largest resident size of this process so far, or of the largest child that ended."""
    return resource.getrusage(who).ru_maxrss * 1024


def time_call(work: Callable[[], object]) -> float:
    """Returns how many seconds a call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@dataclass(frozen=True)
class Rates:
    """Rates measured in turns with the limit's.

    Attributes:
        measured: the median.
        limit: the median.
        ratio: the median of the turns' ratios. Neighbours in time share the machine's moods.
        peak_memory_bytes: after ours ran first and before the limit did.
    """

    measured: float
    limit: float
    ratio: float
    peak_memory_bytes: int


def alternate(
    ours: Callable[[], float],
    limit: Callable[[], float],
    pairs: int,
    name: str,
    warm_up: Callable[[], object] | None = None,
) -> Rates:
    """Measures two rates in turns: A B A B.

    Args:
        ours: does the work and returns its rate.
        limit: does the bare work and returns its rate.
        pairs: how often.
        name: for the display.
        warm_up: runs before, so that imports, traces and caches of files are paid; ours once if None.
    """
    note(f"{name}: warming up")
    (warm_up or ours)()
    peak = peak_memory_bytes()
    limit()
    measured, limits = [], []
    for turn in range(pairs):
        note(f"{name}: {turn + 1} of {pairs}")
        measured.append(ours())
        peak = peak_memory_bytes() if turn == 0 and warm_up else peak
        limits.append(limit())
    ratios = [a / b for a, b in zip(measured, limits, strict=True)]
    return Rates(statistics.median(measured), statistics.median(limits), statistics.median(ratios), peak)


def compare_at_least(name: str, unit: str, rates: Rates, target: float | None, about: str = "") -> Row:
    """Returns the row of a rate that should be at least so many times the limit."""
    return Row(
        name,
        unit,
        rates.measured,
        rates.limit,
        rates.ratio,
        "" if target is None else f">= {target:g}",
        None if target is None else rates.ratio >= target,
        rates.peak_memory_bytes,
        about,
    )
