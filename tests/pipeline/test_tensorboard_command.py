"""``deconvflow tensorboard``: which runs it shows, and the real server on a loopback port."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.errors import RefusedError
from pipeline import tensorboard_command
from pipeline.connect_store import open_store
from pipeline.link_events import EventLinks
from pipeline.tensorboard_command import serve_tensorboard
from pipeline.workspace import Workspace

REPOSITORY = Path(__file__).parents[2]


def add_events(workspace: Path) -> None:
    """Puts an empty event file into the folder of each training that ran."""
    for folder in (workspace / "pipelines/boxes/Trainer/model_run").iterdir():
        (folder / "events.out.tfevents.1.here").touch()


def link(workspace: Path, folder: Path, run_id: str | None = None) -> dict[str, str]:
    """Returns the folder that each run's link leads to, below the workspace."""
    folder.mkdir(exist_ok=True)
    place = Workspace(workspace)
    EventLinks(place, open_store(place.metadata_db), folder, run_id).refresh()
    root = workspace.resolve()
    return {one.name: one.resolve().relative_to(root).as_posix() for one in folder.iterdir()}


def test_runs_that_trained_are_linked_by_their_ids(four_runs: Any, tmp_path: Path) -> None:
    add_events(four_runs.workspace)
    linked = link(four_runs.workspace, tmp_path / "links")
    assert set(linked) == {"run-1", "run-2", "run-3", "run-4"}
    assert len(set(linked.values())) == 4
    assert all(path.startswith("pipelines/boxes/Trainer/model_run/") for path in linked.values())


def test_a_cached_training_is_shown_once_but_by_either_name(
    writing: Any, four_runs: Any, tmp_path: Path
) -> None:
    again = writing.PlannedRun("run-5", version=1)
    four_runs.add_run(again)
    add_events(four_runs.workspace)
    assert "run-5" not in link(four_runs.workspace, tmp_path / "all")
    first = link(four_runs.workspace, tmp_path / "first", "run-1")
    assert link(four_runs.workspace, tmp_path / "again", "run-5") == {"run-5": first["run-1"]}


def test_runs_appear_when_they_begin_to_train(writing: Any, history: Any, tmp_path: Path) -> None:
    history.add_run(writing.PlannedRun("run-1"))
    links = tmp_path / "links"
    links.mkdir()
    place = Workspace(history.workspace)
    watching = EventLinks(place, open_store(place.metadata_db), links)
    watching.refresh()
    assert watching.count == 0
    add_events(history.workspace)
    configuration = writing.make_configuration()
    configuration["trainer"]["epochs"] = 99
    history.add_run(writing.PlannedRun("run-2", configuration=configuration))
    add_events(history.workspace)
    watching.refresh()
    assert "run-2" in {one.name for one in links.iterdir()}


def test_nothing_to_show_is_refused(four_runs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Workspace(four_runs.workspace)
    with pytest.raises(RefusedError, match="no run in it has trained yet"):
        serve_tensorboard(place, 0, None)
    with pytest.raises(RefusedError, match="run run-2: did not get as far as training"):
        serve_tensorboard(place, 0, "run-2")
    with pytest.raises(RefusedError, match="run nine: does not exist"):
        serve_tensorboard(place, 0, "nine")
    with pytest.raises(RefusedError, match="no run was recorded"):
        serve_tensorboard(Workspace(four_runs.workspace / "none"), 0, None)
    monkeypatch.setattr(tensorboard_command.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(RefusedError, match="tensorboard: is not installed"):
        serve_tensorboard(place, 0, None)


@pytest.fixture
def trained(four_runs: Any) -> Path:
    """The workspace, with a real event file in the folder of the first training."""
    from data.classes import ClassTable, SegmentationClass
    from trainer.history import EventWriter
    from trainer.pictures import PictureWriter

    root = four_runs.workspace / "pipelines/boxes/Trainer/model_run"
    folders = sorted(root.iterdir(), key=lambda folder: int(folder.name))
    for folder in folders[1:]:
        shutil.rmtree(folder)
    events = EventWriter(str(folders[0]))
    table = ClassTable(
        (SegmentationClass(0, "ground", (9, 9, 9)), SegmentationClass(1, "box", (200, 9, 9))), 255
    )
    batch = {"image": np.zeros((1, 8, 8, 3), np.float32), "mask": np.zeros((1, 8, 8), np.uint8)}
    writer = PictureWriter(events, [batch], table)
    writer.write(lambda images, training: np.zeros((1, 8, 8, 2)), 7, 1.0, 1.0)  # type: ignore[arg-type]
    entry = {
        "step": 7,
        "loss": 0.5,
        "learning_rate": 0.01,
        "images_per_second": 3.0,
        "val": {"mean_iou": 0.25},
    }
    events.write(entry)
    events.close()
    return four_runs.workspace


@pytest.fixture
def server(trained: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, started for real, and its address."""
    command = [sys.executable, "-m", "pipeline", "tensorboard", "-w", str(trained), "--port", "0"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    match = re.search(r"http://127\.0\.0\.1:\d+/", line)
    try:
        assert match, line + (process.communicate(timeout=60)[1] if not line else "")
        yield process, match[0]
    finally:
        process.kill()
        process.communicate()


def ask(address: str) -> Any:
    with urllib.request.urlopen(address, timeout=30) as answer:
        return json.load(answer)


def wait_for(address: str, run: str) -> Any:
    """Asks until TensorBoard has read the run's events, which it does by and by."""
    for _ in range(300):
        found = ask(address)
        if run in found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{run} is not in {found}")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_server_shows_curves_and_pictures_until_a_signal(
    server: tuple[subprocess.Popen[str], str], number: signal.Signals
) -> None:
    process, address = server
    assert list(wait_for(f"{address}data/plugin/scalars/tags", "run-1")) == ["run-1"]
    scalars = ask(f"{address}data/plugin/scalars/tags")["run-1"]
    assert set(scalars) == {"train/loss", "train/learning_rate", "train/images_per_second", "val/mean_iou"}
    images = wait_for(f"{address}data/plugin/images/tags", "run-1")["run-1"]
    assert set(images) == {"val_images/classes", "val_images/1"}
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    with pytest.raises(urllib.error.URLError):
        ask(f"{address}data/runs")
