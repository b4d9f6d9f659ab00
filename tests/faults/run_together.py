"""Starts runs and writers at once, and holds what must be so.

.venv/bin/python tests/faults/run_together.py [--runs 4] [--writers 8]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from small_runs import (
    REPOSITORY,
    hold,
    hold_whole_store,
    list_served,
    run_script,
    scratch_folder,
    start_run,
    write_small_config,
)

from pipeline import tracking
from pipeline.workspace import Workspace

_WRITER = """
import sys
from pathlib import Path
from ml_metadata.proto import metadata_store_pb2 as pb
from pipeline import tracking
from pipeline.connect_store import connect
from pipeline.register_run import StoreHandle, put_run_contexts
from pipeline.store_address import parse_address

address = parse_address("sqlite:///" + sys.argv[1], "here")
run_id, rounds = sys.argv[2], int(sys.argv[3])
with StoreHandle(connect(address)) as handle:
    put_run_contexts(handle, "together", run_id)
for number in range(rounds):
    with StoreHandle(connect(address)) as handle:
        tracking.put_run_properties(handle.store, run_id, {f"word {number}": run_id * 100})
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Starts them; the status is 1 at the first thing that does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=4, help="0 to leave this out")
    parser.add_argument("--writers", type=int, default=8, help="0 to leave this out")
    options = parser.parse_args(arguments)
    with scratch_folder() as folder:
        if options.writers:
            write_together(folder / "store.sqlite", options.writers)
            print(f"together: {options.writers} writers on one store, nothing lost", flush=True)
        if options.runs:
            config = write_small_config(folder, epochs=40)
            print(f"together: {run_together(config, folder / 'workspace', options.runs)}", flush=True)
            print(f"together: {outlive_holder(config, folder / 'workspace')}", flush=True)
    return 0


def write_together(store: Path, writers: int, rounds: int = 5) -> None:
    """Writes to a new sqlite store from several processes, which all make its tables at first."""
    names = [f"writer-{number}" for number in range(writers)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(store), name, str(rounds)],
            cwd=REPOSITORY, stderr=subprocess.PIPE, text=True,
        )
        for name in names
    ]  # fmt: skip
    for process in processes:
        _, said = process.communicate()
        hold(process.returncode == 0, f"a writer ended with {process.returncode}:\n{said[-2000:]}")
    opened = tracking.open_store(store)
    for name in names:
        properties = tracking.find_run(opened, name).custom_properties
        found = {key: value.string_value for key, value in properties.items()}
        expected = {f"word {number}": name * 100 for number in range(rounds)}
        hold(found == expected, f"{name} wrote {sorted(expected)}, and the store has {sorted(found)}")


def run_together(config: Path, workspace: Path, count: int) -> str:
    """Starts runs of other seeds together on one workspace; each has its history and its version."""
    runs = [start_run(config, workspace, "--set", f"trainer.seed={seed}") for seed in range(count)]
    documents = [run.finish().document for run in runs]
    versions = sorted(document["pushed_version"] for document in documents)
    hold(versions == list(range(1, count + 1)), f"versions {versions} were pushed")
    hold(list_served(workspace) == versions, f"{list_served(workspace)} is served")
    history = hold_whole_store(workspace)
    hold(len(history) == count, f"{count} runs left {len(history)} in the history")
    store = tracking.open_store(Workspace(workspace).metadata_db)
    for seed, document in enumerate(documents):
        record = tracking.read_run(store, document["run_id"])
        said = f"run {record.run_id}, started with seed {seed}"
        hold(record.status == "pushed", f"{said}, is {record.status}")
        hold(record.configuration["trainer"]["seed"] == seed, f"{said}, has another configuration")
        hold(record.pushed_version == document["pushed_version"], f"{said}, has another version")
        hold(record.metrics == document["metrics"], f"{said}, has other metrics")
        states = {one["id"]: one["state"] for one in document["components"]}
        hold(history[record.run_id] == states, f"{said}, has other components")
    return f"{count} runs in turn, versions {versions}, histories apart"


def outlive_holder(config: Path, workspace: Path) -> str:
    """Kills the run that holds a workspace; another one that does not wait must get it."""
    holder = start_run(config, workspace, "--set", "trainer.seed=0")
    held = holder.wait_for(lambda: (workspace / "run.lock").read_bytes())
    hold(held, f"the run ended at once:\n{holder.stderr[-2000:]}")
    refused = start_run(config, workspace, "--no-wait").finish(2)
    hold(f"process {holder.process.pid} " in refused.stderr, f"who holds it is not said: {refused.stderr}")
    holder.kill()
    started = time.monotonic()
    start_run(config, workspace, "--no-wait", "--set", "trainer.seed=0").finish()
    return f"a killed run's lock was free at once ({time.monotonic() - started:.0f} s for the run)"


if __name__ == "__main__":
    run_script(main)
