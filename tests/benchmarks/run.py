"""``make bench``: measures, and prints each number beside the bare work of the same run.

    .venv/bin/python tests/benchmarks/run.py [--quick] [--whole] [--only ingest ...] [--json]

Every measurement is a program of its own, so that its peak memory is its own and nothing that one of them
traced or cached serves another.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.status import Status
from rich.table import Table

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
sys.path.insert(0, str(REPOSITORY))

from harness import PROGRESS_MARK  # noqa: E402

from data.cpu_kernels import prefer_onednn  # noqa: E402
from pipeline.describe_environment import describe_environment  # noqa: E402

MEASUREMENTS = ("ingest", "training", "pytorch", "evaluation", "memory", "history", "cluster", "pipeline")

messages = Console(stderr=True)


class MeasurementFailedError(RuntimeError):
    """A measurement's program ended with an error; the message holds the end of its log."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints; the status is 1 if a measurement failed, whatever the targets."""
    options = _parse(arguments)
    started = time.monotonic()
    rows: list[dict[str, Any]] = []
    failed = []
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="deconvflow-bench-", dir=options.scratch) as scratch:
        for name in _chosen(options):
            try:
                rows += run_program(name, Path(scratch), options.quick)
            except MeasurementFailedError as error:
                messages.print(str(error), markup=False, highlight=False)
                failed.append(name)
                if name == "prepare":
                    break
    document = {
        "quick": options.quick,
        "seconds": round(time.monotonic() - started, 1),
        "load_average_at_start": round(load, 2),
        "environment": describe_environment(),
        "failed": failed,
        "rows": rows,
    }
    if options.json:
        print(json.dumps(document))
    else:
        print_rows(document)
    return 1 if failed else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="sizes that only show that it works")
    parser.add_argument(
        "--whole",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="the whole pipeline too: minutes",
    )
    parser.add_argument("--only", nargs="+", choices=MEASUREMENTS, help="these measurements alone")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of the table")
    parser.add_argument("--scratch", type=Path, help="folder for temporary files; some 2 GB")
    return parser.parse_args(arguments)


def _chosen(options: argparse.Namespace) -> Iterable[str]:
    chosen = options.only or [name for name in MEASUREMENTS if options.whole or name != "pipeline"]
    if {"ingest", "training", "evaluation"} & set(chosen):
        yield "prepare"
    yield from chosen


def run_program(name: str, scratch: Path, quick: bool) -> list[dict[str, Any]]:
    """Runs one measurement and returns its rows.

    Raises:
        MeasurementFailedError: it ended with an error.
    """
    output = scratch / f"{name}.json"
    program = HERE / ("prepare.py" if name == "prepare" else f"measure_{name}.py")
    command = [sys.executable, str(program), "--scratch", str(scratch), "--output", str(output)]
    log = list[str]()
    with messages.status(name) as status:
        process = subprocess.Popen(
            command + ["--quick"] * quick,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=_environment(),
            cwd=REPOSITORY,
        )
        started = time.monotonic()
        assert process.stderr is not None
        for line in process.stderr:
            _follow(line, name, status, log)
        failed = process.wait() != 0
    if failed or not output.exists():
        raise MeasurementFailedError(f"{name} failed:\n" + "".join(log[-40:]))
    messages.print(f"{name}: {time.monotonic() - started:.0f} s", highlight=False)
    rows = list(json.loads(output.read_text()))
    for row in rows:
        numbers = (
            f"{row['measured']:,.1f} {row['unit']}, {row['ratio']:.2f} of the limit's {row['limit']:,.1f}"
        )
        messages.print(f"  {row['name']}: {numbers}", highlight=False)
    return rows


def _follow(line: str, name: str, status: Status, log: list[str]) -> None:
    if line.startswith(PROGRESS_MARK):
        status.update(f"{name}: {line.removeprefix(PROGRESS_MARK).strip()}")
    else:
        log.append(line)


def _environment() -> dict[str, str]:
    prefer_onednn()
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return {**environment, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(REPOSITORY)}


def print_rows(document: dict[str, Any]) -> None:
    """Prints the table and what one has to know to read it."""
    table = Table(header_style="bold", title="Beside the bare work of the same run")
    for heading in ("what", "unit", "measured", "limit", "ratio", "target", "met", "peak memory"):
        table.add_column(
            heading,
            no_wrap=heading == "what",
            justify="left" if heading in ("what", "unit", "target", "met") else "right",
        )
    for row in document["rows"]:
        met = {True: "[green]yes[/]", False: "[red]no[/]", None: ""}[row["met"]]
        numbers = (f"{row[key]:,.1f}" for key in ("measured", "limit"))
        memory = f"{row['peak_memory_bytes'] / 1e6:,.0f} MB"
        table.add_row(row["name"], row["unit"], *numbers, f"{row['ratio']:.2f}", row["target"], met, memory)
    answers = Console(width=None if sys.stdout.isatty() else 140)
    answers.print(table)
    for row in document["rows"]:
        if row["note"]:
            answers.print(f"{row['name']}: {row['note']}", markup=False, highlight=False)
    cores = document["environment"]["cpu"]["cores"]
    load = document["load_average_at_start"]
    answers.print(f"{cores} cores, load {load} at the start, {document['seconds']:.0f} s", highlight=False)


if __name__ == "__main__":
    raise SystemExit(main())
