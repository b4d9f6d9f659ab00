"""The fault scripts see what they are there to see."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from ml_metadata.proto import metadata_store_pb2 as pb
from PIL import Image

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


def test_scenes_follow_from_their_indexes_and_a_smaller_set_is_the_first_of_them(load_script, tmp_path):
    scenes = load_script("make_scenes")
    scenes.make_scenes(tmp_path / "many", 12, workers=1)
    scenes.link_scenes(tmp_path / "many", tmp_path / "few", 10)
    few = {path.relative_to(tmp_path / "few") for path in (tmp_path / "few").rglob("*.*")}
    assert few == {path.relative_to(tmp_path) for i in range(10) for path in scenes.scene_paths(tmp_path, i)}
    assert [path.name for path in (tmp_path / "few/masks/val").iterdir()] == ["scene_000009.png"]
    for index in (1, 9):
        image, mask = scenes.draw_scene(index)
        of_image, of_mask = scenes.scene_paths(tmp_path / "few", index)
        assert image.size == mask.size == (256, 256)
        assert np.array_equal(np.asarray(Image.open(of_mask)), np.asarray(mask))
        assert set(np.unique(mask)) <= set(range(len(scenes.CLASSES)))
        if of_image.suffix == ".png":
            assert np.array_equal(np.asarray(Image.open(of_image)), np.asarray(image))
    assert scenes.draw_scene(1)[0] != scenes.draw_scene(2)[0]


def test_what_does_not_keep_pace_or_memory_or_grows_its_shards_is_named(load_script, capsys):
    scale = load_script("measure_scale")
    few = scale.Measured(1_000, 10.0, 9.0, 1_000_000_000, 3, 9_000_000)
    kept = scale.Measured(20_000, 220.0, 180.0, 1_190_000_000, 60, 9_000_000)
    scale.hold_bars({"ingest": (few, kept)})
    slow = replace(kept, seconds=230.0)
    large = replace(kept, peak_bytes=1_210_000_000, largest_bytes=180_000_000)
    with pytest.raises(scale.FaultError) as caught:
        scale.hold_bars({"ingest": (few, slow), "transform": (few, large), "evaluation": (few, kept)})
    assert str(caught.value) == (
        "ingest: images/s at 20,000 are 0.87 of those at 1,000; "
        "transform: peak memory at 20,000 is 1.21 of that at 1,000; transform: a shard of 180 MB"
    )
    scale.print_table({"ingest": (few, kept)})
    line = next(line for line in capsys.readouterr().out.splitlines() if "20,000" in line)
    # 20,000 images in 220 s are 0.91 of 100 images/s; 19,000 more took 210 s more.
    assert [cell.strip() for cell in line.split("│")[1:-1]] == [
        *("ingest", "20,000", "220.0", "180.0", "90.9", "0.91", "90.5", "1,190", "1.19", "60")
    ]


def test_a_stage_is_measured_or_told_by_the_end_of_its_log(load_script, monkeypatch, tmp_path):
    scale = load_script("measure_scale")
    program = tmp_path / "stage.py"
    monkeypatch.setattr(scale, "PROGRAM", program)
    program.write_text("print('loading'); raise ValueError('no such stage')")
    with pytest.raises(scale.FaultError, match=r"(?s)ingest of 3 images ended with 1:.*no such stage"):
        scale.run_stage("ingest", tmp_path, 3)
    document = {"seconds": 2.0, "cpu_seconds": 3.0, "peak_bytes": 5, "files": 7, "largest_bytes": 11}
    program.write_text(f"import sys; open(sys.argv[3], 'w').write({json.dumps(document)!r})")
    assert scale.run_stage("ingest", tmp_path, 3) == scale.Measured(3, 2.0, 3.0, 5, 7, 11)


def test_a_script_that_there_is_not_is_refused():
    command = [sys.executable, str(HERE / "run.py"), "kill", "quake"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "not quake" in done.stderr


def test_scenes_are_the_same_each_time_and_their_labelled_pixels_are_known(load_script, tmp_path):
    aerial_scenes = load_script("aerial_scenes")
    labelled = aerial_scenes.write_aerial_scenes(tmp_path, 4, 200, 300)
    assert {split: len(list((tmp_path / "masks" / split).iterdir())) for split in labelled} == {
        "train": 2,
        "val": 1,
        "test": 1,
    }
    image, mask = aerial_scenes.draw_scene(1, 200, 300)
    assert image.shape == (200, 300, 3) and mask.shape == (200, 300)
    assert 0 < labelled["test"] == np.count_nonzero(mask != aerial_scenes.VOID) < mask.size
    assert not image[mask == aerial_scenes.VOID].any()
    again, _ = aerial_scenes.draw_scene(1, 200, 300)
    np.testing.assert_array_equal(image, again)


def test_the_memory_of_a_process_and_of_its_children_is_measured(load_script):
    watch_memory = load_script("watch_memory")
    hold = "held = b'x' * {}; print(flush=True); input()"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold.format(90_000_000)!r}])"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        with watch_memory.MemoryWatch(process.pid) as watch:
            process.stdout.readline()
            measured = watch_memory.measure_tree(psutil.Process(process.pid))
            while not watch.samples or watch.samples[-1].memory_bytes < 90_000_000:
                time.sleep(0.05)
        process.communicate(b"\n")
    assert measured > 90_000_000
    assert 90_000_000 < watch.peak_bytes < 190_000_000
    assert watch_memory.measure_tree(psutil.Process(os.getpid())) > 0


def test_a_sample_counts_for_the_component_that_ran(load_script):
    watch_memory = load_script("watch_memory")
    log = """2026-03-01 12:00:01,500 INFO pipeline.execute_dag: Component Transform is running.
noise
2026-03-01 12:00:03,000 INFO pipeline.execute_dag: Component Transform is finished.
2026-03-01 12:00:03,000 INFO pipeline.execute_dag: Component Trainer is running.
"""
    noon = watch_memory.datetime.fromisoformat("2026-03-01 12:00:00").timestamp()
    samples = [
        watch_memory.Sample(noon + at, size) for at, size in ((1, 5), (2, 70), (2.9, 60), (4, 8), (9, 9))
    ]
    assert watch_memory.find_peaks(samples, log) == {"between components": 5, "Transform": 70, "Trainer": 9}


@pytest.mark.long("two runs: minutes")
@pytest.mark.journey
@pytest.mark.slow
def test_the_script_of_large_images_holds_on_small_ones():
    command = [sys.executable, str(HERE / "run_large_images.py"), "--count", "6", "--limit-gb", "8"]
    done = subprocess.run(
        [*command, "--width", "900", "--height", "600"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        "working size: pushed as version 1" in done.stdout and "windows: pushed as version 2" in done.stdout
    )
