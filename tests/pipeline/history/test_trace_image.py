"""Who has seen this image?"""

from __future__ import annotations

import shutil

import pytest

from data.errors import RefusedError
from pipeline import tracking
from pipeline.history.trace_image import trace_image


@pytest.fixture
def trace(history):
    """Returns the lineage of an image."""

    def call(text, pipeline=None):
        return trace_image(history.store, tracking.list_runs(history.store), text, pipeline)

    return call


def _rows(document):
    return [(one.run_id, one.split, one.trained, one.pushed, one.served) for one in document.sightings]


def test_every_run_that_had_it_and_every_model_trained_on_it(four_runs, trace):
    assert _rows(trace("train/scene_001")) == [
        ("run-1", "train", True, "boxes/1", True),
        ("run-2", "train", True, "boxes/2", True),
        ("run-3", "train", True, None, False),
        ("run-4", "train", True, "boxes/3", True),
    ]


def test_an_image_of_another_split_was_not_trained_on(four_runs, trace):
    assert {(one.split, one.trained) for one in trace("val/scene_000").sightings} == {("val", False)}


def test_a_run_that_reused_the_data_had_it_too(history, writing, trace):
    history.add_run(writing.PlannedRun("run-1"))
    history.add_run(writing.PlannedRun("run-2"))
    assert [row[0] for row in _rows(trace("train/scene_000"))] == ["run-1", "run-2"]


def test_an_image_that_moved_was_trained_on_only_while_it_was_in_train(history, writing, trace):
    pairs = writing.make_pairs()
    moved = tuple(
        (*pair[:1], "test" if pair[0] == "train/scene_000" else pair[1], *pair[2:]) for pair in pairs
    )
    history.add_run(writing.PlannedRun("run-1", version=1))
    history.add_run(writing.PlannedRun("run-2", version=2, pairs=moved))
    assert _rows(trace("train/scene_000")) == [
        ("run-1", "train", True, "boxes/1", True),
        ("run-2", "test", False, "boxes/2", True),
    ]


def test_a_run_that_was_refused_before_training_saw_it_without_training(history, writing, trace):
    history.add_run(writing.PlannedRun("run-1", fails_at="DataGate", status="refused", error="void"))
    assert _rows(trace("train/scene_000")) == [("run-1", "train", False, None, False)]


def test_a_run_that_was_killed_after_its_push_is_known_by_its_artifacts(history, writing, trace):
    history.add_run(writing.PlannedRun("run-1", concluded=False))
    assert _rows(trace("train/scene_000")) == [("run-1", "train", True, "boxes/1", True)]


def test_a_version_that_was_removed_is_not_served_any_more(four_runs, trace):
    shutil.rmtree(four_runs.workspace / "serving" / "boxes" / "1")
    served = {one.pushed: one.served for one in trace("train/scene_001").sightings if one.pushed}
    assert served == {"boxes/1": False, "boxes/2": True, "boxes/3": True}


def test_the_path_of_an_image_or_mask_will_do(four_runs, trace):
    by_id = _rows(trace("train/scene_001"))
    assert _rows(trace("/data/boxes/images/train/scene_001.png")) == by_id
    assert _rows(trace("/data/boxes/masks/train/scene_001.png")) == by_id


def test_the_same_bytes_under_another_id_are_the_same_image(history, writing, trace):
    renamed = tuple(
        ("train/renamed" if pair[0] == "train/scene_000" else pair[0], *pair[1:])
        for pair in writing.make_pairs()
    )
    history.add_run(writing.PlannedRun("run-1"))
    history.add_run(writing.PlannedRun("run-2", pairs=renamed))
    document = trace("train/scene_000")
    assert [(one.run_id, one.image_id) for one in document.sightings] == [
        ("run-1", "train/scene_000"),
        ("run-2", "train/renamed"),
    ]
    assert document.notes == ("The same image is there under 2 ids: train/renamed, train/scene_000.",)


def test_one_id_in_two_pipelines_is_told_apart(history, writing, trace):
    others = tuple((*pair[:2], "another patient", pair[3]) for pair in writing.make_pairs())
    history.add_run(writing.PlannedRun("run-1"))
    history.add_run(
        writing.PlannedRun(
            "run-2", pairs=others, configuration=writing.make_configuration("roads", "/data/roads")
        )
    )
    document = trace("train/scene_000")
    assert [one.pipeline for one in document.sightings if one.image_id == "train/scene_000"] == [
        "boxes",
        "roads",
    ]
    assert any("2 different images have had the id" in note for note in document.notes)
    assert [one.run_id for one in trace("train/scene_000", pipeline="boxes").sightings] == ["run-1"]
    # A path names one file, so an image of the same id elsewhere is not meant.
    by_path = trace("/data/boxes/images/train/scene_000.png")
    assert [one.run_id for one in by_path.sightings] == ["run-1"]


def test_an_unknown_image_is_refused_with_those_that_sound_like_it(four_runs, trace):
    with pytest.raises(RefusedError, match=r"scene_003: is no .*Did you mean train/scene_003\?"):
        trace("scene_003")
    with pytest.raises(RefusedError, match="no image in the data of any run"):
        trace("holiday.jpg")


def test_snapshots_that_are_gone_are_counted(four_runs, trace):
    first = sorted((four_runs.workspace / "pipelines").rglob("snapshot.jsonl"))[0]
    first.unlink()
    document = trace("train/scene_001")
    assert [one.run_id for one in document.sightings] == ["run-2", "run-3", "run-4"]
    assert any(note.startswith("1 of 2 snapshots cannot be read") for note in document.notes)
    shutil.rmtree(four_runs.workspace / "pipelines")
    with pytest.raises(RefusedError, match="2 of 2 snapshots cannot be read"):
        trace("train/scene_001")


def test_the_graph_leads_from_the_image_to_the_models(four_runs, trace):
    document = trace("train/scene_001")
    edges = {(edge.source, edge.target): edge.role for edge in document.edges}
    assert edges["image:train/scene_001", "run:run-1"] == "train"
    assert edges["run:run-1", "model:boxes/1"] == "pushed"
    assert {node.kind for node in document.nodes} == {"image", "run", "model"}
