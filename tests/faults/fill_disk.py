"""Fills the disk of a workspace at each stage of a run, and holds what must be so.

    .venv/bin/python tests/faults/fill_disk.py [--stages ingest transform training export push]

The workspace is on a tmpfs of its own; where that may not be mounted, this says so and ends with 0.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from small_runs import (
    NAME,
    Run,
    hold,
    hold_whole_store,
    list_served,
    run_script,
    scratch_folder,
    start_run,
    write_scenes,
    write_small_config,
)

STAGES = ("ingest", "transform", "training", "export", "push")
SENTENCE = re.compile(r"(\S+): the disk is full: .* are free, and .* need about [\d.]+ [kMG]B")
_SIZE = "200m"


def main(arguments: Sequence[str] | None = None) -> int:
    """Does the stages; the status is 1 at the first thing that does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    options = parser.parse_args(arguments)
    with scratch_folder() as folder, mounted(folder / "disk") as disk:
        if disk is None:
            print("disk: skipped, no tmpfs can be mounted here")
            return 0
        config, workspace = write_small_config(folder), disk / "workspace"
        start_run(config, workspace).finish()
        for number, stage in enumerate(options.stages):
            # Other data: everything is made anew, and a new version would be pushed.
            write_scenes(folder / "data", {"train": 1}, first=32 + number)
            print(f"disk {stage}: {fill_at(stage, config, workspace)}", flush=True)
    return 0


@contextlib.contextmanager
def mounted(folder: Path) -> Iterator[Path | None]:
    """Yields a small file system of its own, None where none may be mounted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "none", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        done = False
    if not done:
        yield None
        return
    try:
        yield folder
    finally:
        # Lazily: a worker process of the killed run may still be there for a moment.
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill_at(stage: str, config: Path, workspace: Path) -> str:
    """Fills the disk at a stage, frees it again, and returns the sentence that was said."""
    served = list_served(workspace)
    ballast = workspace.parent / "ballast"
    run = start_run(config, workspace)
    reached = _wait_for_stage(run, stage)
    hold(reached, f"the run ended before {stage}:\n{run.stderr[-2000:]}")
    # Before a push, less than a model takes; everywhere else, nothing at all.
    fill(ballast, leave_bytes=200_000 if stage in ("ingest", "push") else 0)
    code = run.process.wait()
    said = run.stderr
    hold(code in (1, 2), f"exit status {code} with a full disk:\n{said[-2000:]}")
    hold("Traceback" not in said, f"a traceback reached the user:\n{said[-3000:]}")
    sentence = next((line for line in said.splitlines() if SENTENCE.match(line)), "")
    hold(sentence, f"no sentence names the path and what is needed:\n{said[-2000:]}")
    hold(list_served(workspace) == served, f"{served} became {list_served(workspace)}")
    ballast.unlink()
    hold_whole_store(workspace)
    start_run(config, workspace).finish()
    expected = [*served, served[-1] + 1]
    hold(list_served(workspace) == expected, f"{list_served(workspace)} is served, and not {expected}")
    hold_whole_store(workspace)
    return f"status {code}, {sentence}"


def _wait_for_stage(run: Run, stage: str) -> bool:
    if stage == "export":
        models = run.workspace / "pipelines" / NAME / "Trainer" / "model"
        before = set(models.glob("*/Format-Serving"))
        return run.wait_for(lambda: set(models.glob("*/Format-Serving")) - before, 0.001)
    # What comes before ingest and push takes a second, and hardly any room.
    names = {"ingest": "DatasetSnapshot", "push": "ServingSmokeTest"}
    names |= {"transform": "Transform", "training": "Trainer"}
    return run.wait_for_component(names[stage])


def fill(ballast: Path, leave_bytes: int) -> None:
    """Writes a file until so much room is left."""
    # Block by block: a run that writes meanwhile would make one large request fail as a whole.
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as stream:
        while True:
            room = os.statvfs(ballast.parent)
            left = room.f_bavail * room.f_frsize - leave_bytes
            if leave_bytes and left <= 0:
                return
            stream.write(b"\0" * max(4096, min(left, 1 << 20)))


if __name__ == "__main__":
    run_script(main)
