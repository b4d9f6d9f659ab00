"""How long the history's commands take with a thousand runs in the store, imports left out."""

from __future__ import annotations

import contextlib
import io
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from harness import Job, Row, note, peak_memory_bytes, run_measurement, time_call
from history_store import write_many

from pipeline import cli, tracking
from pipeline.history.find_models import list_pushed

RUNS = 1000
_ANSWER_SECONDS, _HELP_SECONDS = 2.0, 1.0


def measure_history(job: Job) -> Sequence[Row]:
    """Writes a store and asks it; the bare work is MLMD's own query for all runs."""
    count = 50 if job.quick else RUNS
    workspace = job.scratch / "history"
    note(f"writing {count} runs")
    write_many(workspace, count)
    records = tracking.list_runs(tracking.open_store(workspace / "metadata.sqlite"))
    model = list_pushed(tracking.open_store(workspace / "metadata.sqlite"))[-1].label
    questions = {
        "runs": ["runs"],
        "runs --json": ["runs", "--json"],
        "runs --sort mean_iou": ["runs", "--sort", "mean_iou"],
        "show latest": ["show", "latest"],
        "show RUN": ["show", records[0].run_id],
        "compare A B": ["compare", records[0].run_id, records[-1].run_id],
        "lineage MODEL": ["lineage", model],
        "lineage RUN": ["lineage", "latest"],
    }
    for arguments in questions.values():
        _ask(workspace, arguments)  # Lazy imports are not what is measured.
    rows = [_measure(name, workspace, arguments, job.pairs, count) for name, arguments in questions.items()]
    return [*rows, _measure_help(job.pairs)]


def _measure(name: str, workspace: Path, arguments: Sequence[str], pairs: int, count: int) -> Row:
    return _time_in_turns(
        f"{name}, {count:,} runs",
        lambda: _ask(workspace, arguments),
        lambda: _query(workspace),
        pairs,
        _ANSWER_SECONDS,
        "the limit is MLMD's query for the contexts of all runs",
    )


def _measure_help(pairs: int) -> Row:
    return _time_in_turns(
        "runs --help",
        lambda: _run("-m", "pipeline", "runs", "--help"),
        lambda: _run("-c", "import typer, rich.console"),
        pairs,
        _HELP_SECONDS,
        "a process of its own; the limit imports typer and rich alone",
    )


def _time_in_turns(
    name: str,
    ours: Callable[[], None],
    bare: Callable[[], None],
    pairs: int,
    target_seconds: float,
    about: str,
) -> Row:
    note(name)
    turns = [(time_call(ours), time_call(bare)) for _ in range(pairs)]
    measured, limit = (statistics.median(seconds) for seconds in zip(*turns, strict=True))
    return Row(
        name=name,
        unit="s",
        measured=measured,
        limit=limit,
        ratio=statistics.median(mine / theirs for mine, theirs in turns),
        target=f"<= {target_seconds:g} s",
        met=measured <= target_seconds,
        peak_memory_bytes=peak_memory_bytes(),
        note=about,
    )


def _ask(workspace: Path, arguments: Sequence[str]) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        cli.app([*arguments, "--workspace", str(workspace)], standalone_mode=False)


def _query(workspace: Path) -> None:
    tracking.open_store(workspace / "metadata.sqlite").get_contexts_by_type(tracking.RUN_CONTEXT_TYPE)


def _run(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    run_measurement(measure_history)
