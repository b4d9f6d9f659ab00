"""What the fault scripts share: a small data set, runs in processes of their own, and what must hold after.

The scripts are programs: ``python tests/faults/run.py kill disk together store``.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import yaml
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

from ml_metadata.proto import metadata_store_pb2 as pb  # noqa: E402

from components.manifest import verify_files  # noqa: E402
from pipeline import tracking  # noqa: E402
from pipeline.workspace import Workspace  # noqa: E402

NAME = "boxes"


class FaultError(AssertionError):
    """A promise that did not hold."""


def hold(condition: object, sentence: str) -> None:
    """Raises FaultError with the sentence unless the condition holds."""
    if not condition:
        raise FaultError(sentence)


def run_script(main: Callable[[], int]) -> NoReturn:
    """Ends the process with what ``main`` returns, or with 1 and the sentence of what did not hold."""
    try:
        sys.exit(main())
    except FaultError as error:
        print(f"does not hold: {error}", file=sys.stderr)
        sys.exit(1)


def write_scenes(folder: Path, counts: Mapping[str, int], first: int = 0) -> None:
    """Writes dark images with one bright box, and their masks, drawn from their indexes alone."""
    for split, count in counts.items():
        for index in range(first, first + count):
            random = np.random.default_rng([index, len(split)])
            image = random.integers(0, 80, (40, 56, 3), dtype=np.uint8)
            mask = np.zeros((40, 56), np.uint8)
            top, left = random.integers(2, 16), random.integers(2, 28)
            box = np.s_[top : top + 20, left : left + 24]
            image[box], mask[box] = random.integers(170, 255, (20, 24, 3), dtype=np.uint8), 1
            for kind, pixels in (("images", image), ("masks", mask)):
                path = folder / kind / split / f"scene_{index:03d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)


def write_small_config(folder: Path, epochs: int = 120, **sections: Any) -> Path:
    """Writes data and a configuration whose training takes some ten seconds; returns the YAML file."""
    write_scenes(folder / "data", {"train": 32, "val": 6, "test": 8})
    tree = {
        "name": NAME,
        "data": {
            "root": str(folder / "data"),
            "classes": [{"id": 0, "name": "background"}, {"id": 1, "name": "box"}],
        },
        "transform": {"height_px": 40, "width_px": 56},
        "augment": {"scale_min": 1.0, "scale_max": 1.0, "rotation_degrees": 0.0},
        "trainer": {
            "model": {"head": "fcn8s", "width": 8, "dropout": 0.0},
            "batch_size": 8,
            "epochs": epochs,
            "validate_every_epochs": 20,
            "learning_rate": 0.01,
        },
        "evaluation": {"gates": {"floors": {"mean_iou": 0.3}, "max_drop": {}}},
        "smoke_test": {"images": 3},
    }
    path = folder / "boxes.yaml"
    path.write_text(yaml.safe_dump(tree | sections))
    return path


@dataclass
class Run:
    """A command that goes on, in a process group of its own."""

    process: subprocess.Popen[str]
    workspace: Path
    output: Path
    errors: Path
    started: float = field(default_factory=time.monotonic)

    @property
    def stderr(self) -> str:
        """What it told the user so far."""
        return self.errors.read_text(errors="replace")

    @property
    def log(self) -> str:
        """What its libraries logged so far."""
        for line in self.stderr.splitlines():
            if "; log: " in line:
                path = Path(line.rpartition("; log: ")[2])
                with contextlib.suppress(OSError):
                    return (REPOSITORY / path).read_text(errors="replace")
        return ""

    @property
    def document(self) -> dict[str, Any]:
        """What it printed with --json."""
        return dict(json.loads(self.output.read_text()))

    @property
    def states(self) -> dict[str, str]:
        """State by component."""
        return {one["id"]: one["state"] for one in self.document["components"]}

    def kill(self) -> None:
        """Kills the whole group at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def wait_for(self, condition: Callable[[], object], poll_seconds: float = 0.05) -> bool:
        """Returns whether a condition came true before the command ended."""
        while not condition():
            if self.process.poll() is not None:
                return bool(condition())
            time.sleep(poll_seconds)
        return True

    def wait_for_component(self, name: str) -> bool:
        """Returns whether a component began before the command ended."""
        return self.wait_for(lambda: f"Component {name} is running" in self.log)

    def finish(self, status: int = 0) -> Run:
        """Waits for the end and holds its status."""
        code = self.process.wait()
        said = self.stderr[-3000:]
        hold(code == status, f"exit status {code} and not {status}:\n{said}")
        hold("Traceback" not in said, f"a traceback reached the user:\n{said}")
        return self


def start_run(
    config: Path, workspace: Path, *arguments: str, environment: Mapping[str, str] | None = None
) -> Run:
    """Starts ``deconvflow run --json``; its output goes to files beside the configuration."""
    return start_command(
        config.parent, workspace, "run", "--config", str(config), *arguments, environment=environment
    )


def start_command(
    folder: Path, workspace: Path, *arguments: str, environment: Mapping[str, str] | None = None
) -> Run:
    """Starts a command of deconvflow with ``--json``; its output goes to files in the folder."""
    variables = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    variables |= {"PYTHONPATH": str(REPOSITORY), **(environment or {})}
    handle, name = tempfile.mkstemp(prefix="run-", dir=folder)
    os.close(handle)
    output, errors = Path(name), Path(name + ".err")
    command = [sys.executable, "-m", "pipeline", *arguments, "--json", "--workspace", str(workspace)]
    with output.open("w") as out, errors.open("w") as err:
        process = subprocess.Popen(
            command, stdout=out, stderr=err, text=True, env=variables, cwd=REPOSITORY, start_new_session=True
        )
    return Run(process, workspace, output, errors)


def list_served(workspace: Path) -> list[int]:
    """Returns the versions in serving/, and holds that each is whole."""
    root = workspace / "serving" / NAME
    versions = sorted(int(path.name) for path in root.glob("*") if path.name.isdigit())
    for version in versions:
        damaged = verify_files(str(root / str(version)))
        hold(not damaged, f"version {version} is not whole: {damaged}")
    return versions


def hold_whole_store(workspace: Path) -> dict[str, dict[str, str]]:
    """Holds that a sqlite store is sound and what it calls an artifact is there; returns states by run."""
    database = workspace / "metadata.sqlite"
    if not database.exists() or not database.stat().st_size:
        return {}
    with contextlib.closing(sqlite3.connect(database)) as connection:
        (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
    hold(verdict == "ok", f"the store is damaged: {verdict}")
    store = tracking.open_store(Workspace(workspace).metadata_db)
    history = {}
    for run in tracking.list_runs(store):
        components = tracking.read_components(store, run.run_id)
        history[run.run_id] = {one.id: one.state for one in components}
        for one in components:
            if one.state in ("complete", "cached"):
                _hold_outputs(store, one)
    return history


def _hold_outputs(store: Any, component: tracking.ComponentRun) -> None:
    outputs = tracking.read_output_artifacts(store, component.execution_id)
    for key, artifacts in outputs.items():
        for artifact in artifacts:
            where = f"{component.id}.{key} at {artifact.uri}"
            hold(artifact.state == pb.Artifact.LIVE, f"{where} counts, and is not live")
            hold(Path(artifact.uri).exists(), f"{where} counts, and is not there")


@contextlib.contextmanager
def scratch_folder(keep: Path | None = None) -> Iterator[Path]:
    """Yields a folder that stays if something did not hold."""
    folder = Path(tempfile.mkdtemp(prefix="deconvflow-faults-", dir=keep))
    try:
        yield folder
    except BaseException:
        print(f"left for you to look at: {folder}", file=sys.stderr)
        raise
    shutil.rmtree(folder)
