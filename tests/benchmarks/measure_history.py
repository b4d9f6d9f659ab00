"""How long the history's commands take with a thousand runs in the store, imports left out."""

from __future__ import annotations

import contextlib
import io
import statistics
import subprocess
import sys
from collections.abc import Sequence
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
    note(name)
    answers, bare = [], []
    for _ in range(pairs):
        answers.append(time_call(lambda: _ask(workspace, arguments)))
        bare.append(time_call(lambda: _query(workspace)))
    seconds = statistics.median(answers)
    return Row(
        name=f"{name}, {count:,} runs",
        unit="s",
        measured=seconds,
        limit=statistics.median(bare),
        ratio=statistics.median(a / b for a, b in zip(answers, bare, strict=True)),
        target=f"<= {_ANSWER_SECONDS:g} s",
        met=seconds <= _ANSWER_SECONDS,
        peak_memory_bytes=peak_memory_bytes(),
        note="the limit is MLMD's query for the contexts of all runs",
    )


def _measure_help(pairs: int) -> Row:
    note("runs --help")
    ours, bare = [], []
    for _ in range(pairs):
        ours.append(time_call(lambda: _run("-m", "pipeline", "runs", "--help")))
        bare.append(time_call(lambda: _run("-c", "import typer, rich.console")))
    seconds = statistics.median(ours)
    return Row(
        name="runs --help",
        unit="s",
        measured=seconds,
        limit=statistics.median(bare),
        ratio=statistics.median(a / b for a, b in zip(ours, bare, strict=True)),
        target=f"<= {_HELP_SECONDS:g} s",
        met=seconds <= _HELP_SECONDS,
        peak_memory_bytes=peak_memory_bytes(),
        note="a process of its own; the limit imports typer and rich alone",
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
