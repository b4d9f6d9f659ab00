"""From a model or a run back to every source image."""

from __future__ import annotations

import shutil

import pytest

from pipeline import tracking
from pipeline.history.find_models import find_model, list_pushed
from pipeline.history.trace_back import trace_model, trace_run


@pytest.fixture
def trace(history, find):
    """Returns the lineage of a pushed model by NAME/VERSION, or of a run."""

    def call(subject):
        records = tracking.list_runs(history.store)
        if "/" in subject:
            model = find_model(list_pushed(history.store), subject, {record.run_id for record in records})
            return trace_model(history.store, records, model)
        return trace_run(history.store, records, find(subject))

    return call


def _components(document):
    return {n.label: n.properties["run_id"] for n in document.nodes if n.kind == "component"}


def _walk_back(document, start):
    """Returns the ids of all nodes from which there is a way to the start."""
    seen, wanted = set(), {start}
    while wanted:
        seen |= wanted
        wanted = {edge.source for edge in document.edges if edge.target in wanted} - seen
    return seen


def test_a_model_reaches_every_source_image_with_its_content(four_runs, writing, trace):
    document = trace("boxes/1")
    assert {(i.id, i.split, i.image_sha256, i.mask_sha256) for i in document.images} == {
        (image_id, split, writing.fingerprint(image), writing.fingerprint(mask))
        for image_id, split, image, mask in writing.make_pairs()
    }
    assert document.images[0].image_path == "/data/boxes/images/test/scene_000.png"


def test_there_is_a_way_from_the_model_to_shards_snapshot_images_and_run(four_runs, trace):
    document = trace("boxes/1")
    back = _walk_back(document, document.subject)
    nodes = {node.id: node for node in document.nodes}
    labels = {nodes[node].label for node in back}
    assert {"Pusher", "Trainer", "Transform", "SegmentationExampleGen", "DatasetSnapshot", "run-1"} <= labels
    assert {"4 train images", "2 val images", "2 test images"} <= labels
    (shards,) = [
        n for n in document.nodes if n.properties.get("uri", "").find("/SegmentationExampleGen/examples/") > 0
    ]
    assert [path.rsplit("/", 2)[1:] for path in shards.files] == [
        [f"Split-{split}", "data_tfrecord-00000-of-00001"] for split in ("test", "train", "val")
    ]


def test_what_was_reused_leads_to_the_run_that_made_it(four_runs, trace):
    assert _components(trace("boxes/3")) == {
        "DatasetSnapshot": "run-2",
        "ImportSchemaGen": "run-1",
        "SegmentationExampleGen": "run-3",
        "StatisticsGen": "run-3",
        "Transform": "run-3",
        "Trainer": "run-4",
        "BaselineModel": "run-4",
        "ServingSmokeTest": "run-4",
        "Evaluator": "run-4",
        "Pusher": "run-4",
    }


def test_the_runs_carry_the_fingerprints_of_what_they_ran(four_runs, trace, find):
    runs = {node.label: node.properties for node in trace("boxes/3").nodes if node.kind == "run"}
    assert set(runs) == {"run-1", "run-2", "run-3", "run-4"}
    assert (
        runs["run-4"]["code_fingerprint"]
        == runs["run-3"]["code_fingerprint"]
        != runs["run-2"]["code_fingerprint"]
    )
    assert runs["run-4"]["configuration_fingerprint"] != runs["run-3"]["configuration_fingerprint"]
    assert runs["run-4"]["data_fingerprint"] == find("run-2").data_fingerprint


def test_only_the_images_of_the_model_itself_are_named(four_runs, writing, trace):
    masks = {image.mask_sha256 for image in trace("boxes/2").images if image.id == "train/scene_001"}
    assert masks == {writing.fingerprint("another mask")}


def test_a_run_that_reused_everything_has_the_same_ancestors(history, writing, trace):
    history.add_run(writing.PlannedRun("run-1"))
    history.add_run(writing.PlannedRun("run-2"))
    document = trace("run-2")
    origins = _components(document)
    assert origins["Pusher"] == origins["Trainer"] == "run-1"
    assert len(document.images) == 8
    reused = {edge.target for edge in document.edges if edge.role == "reused"}
    assert len(reused) == len(writing.NODES) - 1  # all but the data gate
    assert any(node.id == "model:boxes/1" for node in document.nodes)


def test_a_run_that_failed_is_traced_as_far_as_it_came(history, writing, trace):
    history.add_run(writing.PlannedRun("run-1", fails_at="Trainer", status="failed", error="no"))
    document = trace("run-1")
    assert "Transform" in _components(document) and "Evaluator" not in _components(document)
    assert len(document.images) == 8
    assert not [node for node in document.nodes if node.kind == "model"]


def test_runs_of_another_pipeline_stay_out(history, writing, trace):
    history.add_run(writing.PlannedRun("run-1"))
    history.add_run(
        writing.PlannedRun("run-2", configuration=writing.make_configuration("roads", "/data/roads"))
    )
    document = trace("roads/1")
    assert set(_components(document).values()) == {"run-2"}
    assert {image.image_path.split("/")[2] for image in document.images} == {"roads"}


def test_pruned_files_leave_a_note_and_the_rest_of_the_way(four_runs, trace):
    shutil.rmtree(four_runs.workspace / "pipelines")
    shutil.rmtree(four_runs.workspace / "serving")
    document = trace("boxes/1")
    assert document.images == ()
    assert "DatasetSnapshot" in _components(document)
    assert not any(n.properties["exists"] for n in document.nodes if n.kind in ("artifact", "model"))
    assert len(document.notes) == 2


def test_walking_back_costs_queries_by_depth_not_by_runs(history, writing, trace, count_calls):
    history.add_runs([writing.PlannedRun(f"run-{index}") for index in range(2)])
    few = count_calls(lambda: trace("boxes/1"))
    history.add_runs([writing.PlannedRun(f"run-{index}") for index in range(2, 30)])
    assert count_calls(lambda: trace("boxes/1")) == few
