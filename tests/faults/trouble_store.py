"""Troubles the metadata store under runs, and holds what must be so.

    .venv/bin/python tests/faults/trouble_store.py [--cases readonly locked corrupt version server away]

The last two stop and start a MariaDB of their own; they are skipped where there is none.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mariadb_server import MariaDb, with_mariadb
from small_runs import (
    NAME,
    Run,
    hold,
    hold_whole_store,
    list_served,
    run_script,
    scratch_folder,
    start_run,
    write_small_config,
)

CASES = ("readonly", "corrupt", "version", "locked", "server", "away")
_LOCKED_SECONDS = 30
_AWAY_SECONDS = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Does the cases; the status is 1 at the first thing that does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES)
    options = parser.parse_args(arguments)
    for case in options.cases:
        with scratch_folder() as folder:
            config = write_small_config(folder, epochs=400 if case == "away" else 40)
            said = _DO[case](config, folder / "workspace")
        print(f"store {case}: {said}", flush=True)
    return 0


def try_readonly(config: Path, workspace: Path) -> str:
    """A store that may not be written to is refused before anything is started."""
    folder = config.parent / "store"
    folder.mkdir()
    if os.getuid() == 0:  # Whom permissions do not stop.
        mount = ["mount", "-t", "tmpfs", "-o", "ro", "none", str(folder)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            return "skipped, nothing can be mounted here"
    else:
        folder.chmod(0o555)
    try:
        run = start_run(config, workspace, "--store", f"sqlite:///{folder}/runs.sqlite").finish(2)
    finally:
        if os.getuid() == 0:
            subprocess.run(["umount", str(folder)], check=True)
        else:
            folder.chmod(0o755)
    return _sentence(run, "cannot be written to|cannot be made|cannot be opened")


def try_corrupt(config: Path, workspace: Path) -> str:
    """A damaged store is refused; with the backup in its place, all comes from the cache."""
    return _refuse_changed(config, workspace, _damage, "is damaged")


def try_version(config: Path, workspace: Path) -> str:
    """A store of another ML Metadata is refused and not touched."""
    return _refuse_changed(config, workspace, _age, "has the tables of version")


def _refuse_changed(config: Path, workspace: Path, change: Callable[[Path], None], sentence: str) -> str:
    start_run(config, workspace).finish()
    store, backup = workspace / "metadata.sqlite", config.parent / "backup"
    shutil.copy(store, backup)
    change(store)
    changed = store.read_bytes()
    run = start_run(config, workspace).finish(2)
    said = _sentence(run, sentence)
    hold(store.read_bytes() == changed, "the store was written to")
    hold(list_served(workspace) == [1], f"{list_served(workspace)} is served")
    shutil.copy(backup, store)
    again = start_run(config, workspace).finish()
    hold(again.states["Trainer"] == "cached", f"with the backup, the Trainer was {again.states['Trainer']}")
    return said


def _damage(store: Path) -> None:
    content = bytearray(store.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 8192] = b"\xa5" * 8192
    store.write_bytes(content)


def _age(store: Path) -> None:
    with contextlib.closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("UPDATE MLMDEnv SET schema_version = 9")


def try_locked(config: Path, workspace: Path) -> str:
    """Another program's lock of 30 s is waited for, in the middle of a run."""
    run = start_run(config, workspace)
    hold(run.wait_for_component("StatisticsGen"), f"the run ended:\n{run.stderr[-2000:]}")
    with contextlib.closing(sqlite3.connect(workspace / "metadata.sqlite", timeout=60)) as other:
        other.execute("BEGIN EXCLUSIVE")
        time.sleep(_LOCKED_SECONDS)
        hold(run.process.poll() is None, f"the run ended:\n{run.stderr[-2000:]}")
        other.execute("ROLLBACK")
    run.finish()
    hold(set(run.states.values()) == {"complete"}, f"components ended as {run.states}")
    hold_whole_store(workspace)
    return f"locked for {_LOCKED_SECONDS} s in mid-run, and all was recorded"


def try_server(config: Path, workspace: Path) -> str:
    """A server that is stopped while a component works, and started again, is waited for."""
    return with_mariadb(lambda server: _restart_under_run(config, workspace, server))


def try_away(config: Path, workspace: Path) -> str:
    """A server that stays away costs no training: a later command records it."""
    return with_mariadb(lambda server: _record_later(config, workspace, server))


def _restart_under_run(config: Path, workspace: Path, server: MariaDb) -> str:
    run = start_run(config, workspace, "--store", server.address, environment=server.environment)
    outputs = workspace / "pipelines" / NAME / "Transform"  # Made when all is written, and before it works.
    hold(run.wait_for(lambda: list(outputs.glob("*/*"))), f"the run ended:\n{run.stderr[-2000:]}")
    server.stop()
    hold(run.wait_for(lambda: "waiting for the metadata store" in run.log), f"no wait:\n{run.stderr[-2000:]}")
    time.sleep(_AWAY_SECONDS)
    server.start()
    run.finish()
    hold(set(run.states.values()) == {"complete"}, f"components ended as {run.states}")
    hold(list_served(workspace) == [1], f"{list_served(workspace)} is served")
    return f"the server was away for {_AWAY_SECONDS} s in mid-run, and all was recorded"


def _record_later(config: Path, workspace: Path, server: MariaDb) -> str:
    run = start_run(config, workspace, "--store", server.address, environment=server.environment)
    hold(run.wait_for_component("Trainer"), f"the run ended:\n{run.stderr[-2000:]}")
    hold(
        run.wait_for(lambda: list((workspace / "checkpoints").rglob("checkpoint"))), "there is no checkpoint"
    )
    server.stop()
    hold(run.wait_for(lambda: "waiting for the metadata store" in run.log), f"no wait:\n{run.stderr[-2000:]}")
    run.kill()
    server.start()
    again = start_run(config, workspace, "--store", server.address, environment=server.environment).finish()
    hold(again.states["Trainer"] == "complete", f"the Trainer was {again.states['Trainer']}")
    hold(again.states["Transform"] == "cached", f"Transform was {again.states['Transform']}")
    files = (workspace / "pipelines" / NAME).rglob("training.json")
    last = json.loads(max(files, key=lambda path: path.stat().st_mtime).read_text())
    resumed, steps = last["resumed_from_step"], last["steps"]
    hold(resumed == steps, f"of {steps} steps, the training went on from {resumed}")
    return f"all {steps} steps of a training that could not be recorded were recorded by the next command"


def _sentence(run: Run, pattern: str) -> str:
    found = next((line for line in run.stderr.splitlines() if re.search(pattern, line)), "")
    hold(found, f"nothing says {pattern!r}:\n{run.stderr[-2000:]}")
    return found


_DO = {
    "readonly": try_readonly,
    "corrupt": try_corrupt,
    "version": try_version,
    "locked": try_locked,
    "server": try_server,
    "away": try_away,
}

if __name__ == "__main__":
    run_script(main)
