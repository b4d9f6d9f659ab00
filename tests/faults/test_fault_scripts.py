"""The fault scripts see what they are there to see."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from ml_metadata.proto import metadata_store_pb2 as pb

from components.push_version import ModelFacts, push_version
from data.classes import ClassTable, SegmentationClass
from pipeline import tracking
from pipeline.connect_store import open_store

HERE = Path(__file__).resolve().parent
SECONDS = {"Snapshot": 1.0, "Trainer": 20.0, "Pusher": 0.5}


@pytest.fixture
def load_script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a script of this folder as it imports its neighbours."""
    monkeypatch.syspath_prepend(str(HERE))
    return importlib.import_module


def test_moments_are_spread_over_components_pushes_and_writes(load_script):
    plan = load_script("kill_runs").plan_moments
    moments = plan(50, 0, SECONDS)
    assert plan(50, 0, SECONDS) == moments != plan(50, 1, SECONDS)
    assert Counter(one.kind for one in moments) == {"component": 30, "store": 10, "push": 10}
    turns = [one.component for one in moments if one.kind == "component"]
    assert all(set(turns[start : start + 3]) == set(SECONDS) for start in range(0, 30, 3))
    assert all(0 <= one.delay_seconds <= SECONDS.get(one.component, 0.1) + 0.3 for one in moments)


def test_a_version_that_is_not_whole_is_seen(load_script, tmp_path):
    small_runs = load_script("small_runs")
    (tmp_path / "model").mkdir()
    (tmp_path / "model/saved_model.pb").write_bytes(b"graph")
    facts = ModelFacts(
        "boxes",
        "run-1",
        ClassTable((SegmentationClass(0, "ground", (1, 2, 3)), SegmentationClass(1, "box", (4, 5, 6))), 255),
        "code",
        {"metrics": {}, "data_fingerprint": "data"},
    )
    push_version(str(tmp_path / "serving/boxes"), str(tmp_path / "model"), facts)
    assert small_runs.list_served(tmp_path) == [1]
    (tmp_path / "serving/boxes/1/saved_model.pb").write_bytes(b"grap")
    with pytest.raises(small_runs.FaultError, match="version 1 is not whole"):
        small_runs.list_served(tmp_path)


def _record_run(workspace: Path, output: Path) -> None:
    """Writes a run of one finished component as TFX does."""
    store = open_store(workspace / "metadata.sqlite", create=True)
    types = {
        name: store.put_context_type(pb.ContextType(name=name))
        for name in (tracking.RUN_CONTEXT_TYPE, tracking.NODE_CONTEXT_TYPE)
    }
    kind = store.put_execution_type(pb.ExecutionType(name="ours.Trainer"))
    artifact = pb.Artifact(
        type_id=store.put_artifact_type(pb.ArtifactType(name="Model")),
        uri=str(output),
        state=pb.Artifact.LIVE,
    )
    event = pb.Event(type=pb.Event.OUTPUT)
    event.path.steps.add(key="model")
    contexts = [
        pb.Context(type_id=types[tracking.RUN_CONTEXT_TYPE], name="run-1"),
        pb.Context(type_id=types[tracking.NODE_CONTEXT_TYPE], name="boxes.Trainer"),
    ]
    execution = pb.Execution(type_id=kind, last_known_state=pb.Execution.COMPLETE)
    store.put_execution(execution, [(artifact, event)], contexts)


def test_an_artifact_that_counts_and_is_gone_is_seen(load_script, tmp_path):
    small_runs = load_script("small_runs")
    assert small_runs.hold_whole_store(tmp_path) == {}
    output = tmp_path / "model"
    output.mkdir()
    _record_run(tmp_path, output)
    assert small_runs.hold_whole_store(tmp_path) == {"run-1": {"Trainer": "complete"}}
    output.rmdir()
    with pytest.raises(small_runs.FaultError, match=r"Trainer\.model at .* counts, and is not there"):
        small_runs.hold_whole_store(tmp_path)


def test_a_script_that_there_is_not_is_refused():
    command = [sys.executable, str(HERE / "run.py"), "kill", "quake"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "not quake" in done.stderr
