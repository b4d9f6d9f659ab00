"""Whether ingest, statistics, Transform and evaluation keep pace and memory as a data set grows.

    measure_scale.py [--images 20000] [--small 1000] [--scratch FOLDER]

Draws images of 256x256 pixels and runs each stage on the first thousand and on all of them, each in a process
of its own (``scale_stage.py``). Holds that the rate does not fall below 0.9 of the smaller one's, that peak
memory stays within 1.2 of it, and that no file of records is larger than 20 MB, so that the number of
shards follows the size. Takes some 3 GB of disk for 20,000 images.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from make_scenes import link_scenes, make_scenes
from rich.console import Console
from rich.table import Table
from small_runs import REPOSITORY, FaultError, hold, run_script, scratch_folder

from data.cpu_kernels import prefer_onednn

STAGES = ("ingest", "statistics", "transform", "evaluation")
PROGRAM = Path(__file__).with_name("scale_stage.py")
_PREPARED_BY = {"evaluation": "model"}
LEAST_RATE, MOST_MEMORY, LARGEST_FILE_BYTES = 0.9, 1.2, 20_000_000
_SAMPLE_SECONDS = 0.2

messages = Console(stderr=True, highlight=False)


@dataclass(frozen=True)
class Measured:
    """What one stage took on one data set.

    Attributes:
        images: in the data set; every stage sees all of them.
        seconds: of the executor, without the imports.
        cpu_seconds: of all threads and processes.
        peak_bytes: of the process and what it started.
        files: of records that it wrote; 0 where it writes none.
        largest_bytes: the largest of them.
    """

    images: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    files: int
    largest_bytes: int

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.images / self.seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints the table and holds the bars."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--small", type=int, default=1_000)
    parser.add_argument("--scratch", type=Path, help="where the temporary folder is to be")
    options = parser.parse_args(arguments)
    with scratch_folder(options.scratch) as folder:
        measured = measure_stages(folder, options.small, options.images)
        print_table(measured)
        hold_bars(measured)
    return 0


def measure_stages(folder: Path, few: int, many: int) -> dict[str, tuple[Measured, Measured]]:
    """Returns each stage's measurements on the first few images and on all."""
    started = time.monotonic()
    make_scenes(folder / "many/data", many)
    link_scenes(folder / "many/data", folder / "few/data", few)
    messages.print(f"{many:,} images drawn in {time.monotonic() - started:.0f} s")
    measured = {}
    for stage in STAGES:
        pair = []
        for name, images in (("few", few), ("many", many)):
            if before := _PREPARED_BY.get(stage):
                run_stage(before, folder / name, images)
            pair.append(run_stage(stage, folder / name, images))
            messages.print(f"{stage} of {images:,} images: {pair[-1].seconds:.1f} s")
        measured[stage] = (pair[0], pair[1])
    return measured


def run_stage(stage: str, folder: Path, images: int) -> Measured:
    """Runs a stage in a new process.

    Raises:
        FaultError: it failed; the message holds the end of its log.
    """
    output, log = folder / f"{stage}.json", folder / f"{stage}.log"
    command = [sys.executable, str(PROGRAM), stage, str(folder), str(output)]
    with log.open("w") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=_environment(), cwd=REPOSITORY)
        children_bytes = watch_children(process)
    if process.returncode:
        raise FaultError(f"{stage} of {images:,} images ended with {process.returncode}:\n{_tail(log)}")
    document = json.loads(output.read_text())
    document["peak_bytes"] += children_bytes
    return Measured(images=images, **document)


def watch_children(process: subprocess.Popen[bytes]) -> int:
    """Waits for a process and returns the most memory that what it started took at once, in bytes."""
    most = 0
    while process.poll() is None:
        sizes = []
        try:
            for child in psutil.Process(process.pid).children(recursive=True):
                sizes.append(child.memory_full_info().pss)
        except psutil.Error:
            pass  # It ended meanwhile.
        most = max(most, sum(sizes))
        time.sleep(_SAMPLE_SECONDS)
    return most


def hold_bars(measured: Mapping[str, tuple[Measured, Measured]]) -> None:
    """Holds all bars and names every one that does not.

    Raises:
        FaultError: one does not hold.
    """
    missed = []
    for stage, (few, many) in measured.items():
        pace, memory = many.rate / few.rate, many.peak_bytes / few.peak_bytes
        at, than = f"at {many.images:,}", f"at {few.images:,}"
        if pace < LEAST_RATE:
            missed.append(f"{stage}: images/s {at} are {pace:.2f} of those {than}")
        if memory > MOST_MEMORY:
            missed.append(f"{stage}: peak memory {at} is {memory:.2f} of that {than}")
        if many.largest_bytes > LARGEST_FILE_BYTES:
            missed.append(f"{stage}: a shard of {many.largest_bytes / 1e6:.0f} MB")
    hold(not missed, "; ".join(missed))


def print_table(measured: Mapping[str, tuple[Measured, Measured]]) -> None:
    """Prints a line a stage and size. The marginal rate is that of the images that were added."""
    table = Table(header_style="bold")
    for heading in (
        "stage",
        "images",
        "seconds",
        "CPU s",
        "images/s",
        "ratio",
        "marginal",
        "peak MB",
        "ratio",
        "shards",
    ):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    for stage, (few, many) in measured.items():
        marginal = (many.images - few.images) / max(many.seconds - few.seconds, 1e-9)
        for one, added in ((few, ""), (many, f"{marginal:.1f}")):
            table.add_row(
                stage,
                f"{one.images:,}",
                f"{one.seconds:.1f}",
                f"{one.cpu_seconds:.1f}",
                f"{one.rate:.1f}",
                f"{one.rate / few.rate:.2f}",
                added,
                f"{one.peak_bytes / 1e6:,.0f}",
                f"{one.peak_bytes / few.peak_bytes:.2f}",
                str(one.files or ""),
            )
    Console(width=None if sys.stdout.isatty() else 110).print(table)


def _environment() -> dict[str, str]:
    prefer_onednn()
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return {**environment, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(REPOSITORY)}


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])


if __name__ == "__main__":
    run_script(main)
