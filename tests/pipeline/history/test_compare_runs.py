"""What differs between runs: that, and nothing else."""

from __future__ import annotations

import shutil

import pytest

from pipeline import tracking
from pipeline.history.compare_runs import compare_runs


@pytest.fixture
def compare(history, find):
    """Returns the document of a comparison."""

    def call(*run_ids):
        return compare_runs(history.store, [find(run_id) for run_id in run_ids])

    return call


def _differences(document):
    (data,) = document.data
    kinds = ("added", "removed", "changed_image", "changed_mask", "moved")
    return {
        "configuration": [d.key for d in document.configuration],
        "code": [d.key for d in document.code.files],
        "data": {kind: [c.id for c in found] for kind in kinds if (found := getattr(data, kind))},
        "environment": [d.key for d in document.environment.values],
    }


_NOTHING = {"configuration": [], "code": [], "data": {}, "environment": []}


def test_a_changed_mask_is_named_and_nothing_else(four_runs, compare):
    document = compare("run-1", "run-2")
    assert _differences(document) == _NOTHING | {"data": {"changed_mask": ["train/scene_001"]}}
    (change,) = document.data[0].changed_mask
    assert (change.split, change.path) == ("train", "/data/boxes/masks/train/scene_001.png")


def test_a_changed_line_of_code_is_named_by_its_file_and_nothing_else(four_runs, compare):
    document = compare("run-2", "run-3")
    assert _differences(document) == _NOTHING | {"code": ["trainer/b.py"]}
    assert [d.key for d in document.code.packages] == ["trainer"]
    assert document.code.files[0].values == {"run-2": "2" * 64, "run-3": "9" * 64}


def test_a_changed_hyper_parameter_is_named_by_its_key_and_nothing_else(four_runs, compare):
    document = compare("run-3", "run-4")
    assert _differences(document) == _NOTHING | {"configuration": ["trainer.learning_rate"]}
    assert document.configuration[0].values == {"run-3": 0.01, "run-4": 0.02}


def test_three_runs_are_compared_with_the_first(four_runs, compare):
    document = compare("run-2", "run-3", "run-4")
    assert [d.run_id for d in document.data] == ["run-3", "run-4"]
    assert [d.same for d in document.data] == [True, True]
    assert document.configuration[0].values == {"run-2": 0.01, "run-3": 0.01, "run-4": 0.02}


def test_metrics_stand_side_by_side_with_their_difference(four_runs, compare):
    rows = {(row.split, row.metric): row for row in compare("run-1", "run-2").metrics}
    assert {split for split, _ in rows} == {"val", "test"}
    row = rows["test", "iou/background"]
    # 90 of 100 + 110 - 90 pixels before, 95 of 100 + 115 - 95 after.
    assert row.values == {"run-1": 0.75, "run-2": 95 / 120}
    assert row.differences == {"run-2": 95 / 120 - 0.75}
    absent = rows["test", "iou/rare"]
    assert (absent.values, absent.differences) == ({"run-1": None, "run-2": None}, {"run-2": None})


def test_the_confusion_that_changed_is_in_shares_of_the_true_class(four_runs, compare):
    changes = [c for c in compare("run-1", "run-2").confusion if c.split == "test"]
    assert [(c.truth, c.predicted, c.before, c.after) for c in changes] == [("background", "box", 0.1, 0.05)]
    assert changes[0].change == pytest.approx(-0.05)


def test_every_kind_of_change_of_the_data(history, writing, compare):
    before = (
        ("stays", "train", "i1", "m1"), ("moves", "train", "i2", "m2"), ("goes", "train", "i3", "m3"),
        ("turns", "val", "i4", "m4"),
    )  # fmt: skip
    after = (
        ("stays", "train", "i1", "m1"), ("moves", "test", "i2", "m2"), ("comes", "train", "i5", "m5"),
        ("turns", "val", "i6", "m6"),
    )  # fmt: skip
    history.add_run(writing.PlannedRun("a", pairs=before))
    history.add_run(writing.PlannedRun("b", pairs=after))
    document = compare("a", "b")
    assert _differences(document)["data"] == {
        "added": ["comes"],
        "removed": ["goes"],
        "changed_image": ["turns"],
        "changed_mask": ["turns"],
        "moved": ["moves"],
    }
    (moved,) = document.data[0].moved
    assert (moved.from_split, moved.split) == ("train", "test")


def test_another_environment_is_named_by_its_parts(history, writing, compare):
    newer = {"python": "3.12.0", "packages": {"tfx": "1.16.0", "numpy": "2.4"}}
    history.add_run(writing.PlannedRun("a"))
    history.add_run(writing.PlannedRun("b", environment=newer))
    found = {d.key: d.values for d in compare("a", "b").environment.values}
    assert found == {"packages.numpy": {"b": "2.4"}, "python": {"a": "3.11.7", "b": "3.12.0"}}


def test_a_file_that_only_one_run_has_is_a_difference(history, writing, compare):
    history.add_run(writing.PlannedRun("a", code={"data/a.py": "1" * 64}))
    history.add_run(writing.PlannedRun("b", code={"data/a.py": "1" * 64, "data/new.py": "2" * 64}))
    assert [(d.key, d.values) for d in compare("a", "b").code.files] == [("data/new.py", {"b": "2" * 64})]


def test_a_run_without_a_list_of_code_is_compared_by_its_components(four_runs, compare):
    _forget(four_runs, "run-2", tracking.CODE_PROPERTY)
    code = compare("run-2", "run-3").code
    assert not code.recorded
    assert [d.key for d in code.components] == ["SegmentationExampleGen", "Trainer", "Transform"]
    assert compare("run-2", "run-3").notes == (
        "Run run-2 did not record its source files; components are compared instead.",
    )


def test_an_unrecorded_environment_is_unknown_and_not_the_same(four_runs, compare):
    _forget(four_runs, "run-2", tracking.ENVIRONMENT_PROPERTY)
    document = compare("run-1", "run-2")
    assert not document.environment.recorded
    assert any("run-2 did not record its environment" in note for note in document.notes)


def test_a_pruned_snapshot_leaves_what_changed_unknown(four_runs, compare):
    shutil.rmtree(four_runs.workspace / "pipelines")
    (data,) = compare("run-1", "run-2").data
    assert (data.same, data.changed_mask) == (False, ())
    assert any("snapshot.jsonl is not there any more" in note for note in compare("run-1", "run-2").notes)
    # The same fingerprint is the same data, files or no files.
    assert compare("run-2", "run-3").data[0].same is True


def test_a_run_that_ended_before_its_snapshot_has_unknown_data(history, writing, compare):
    history.add_run(writing.PlannedRun("a"))
    history.add_run(writing.PlannedRun("b", fails_at="DatasetSnapshot", status="refused", error="no"))
    document = compare("a", "b")
    assert document.data[0].same is None
    assert "Run b has no snapshot of its data: it ended before there was one." in document.notes
    rows = {(row.split, row.metric): row for row in document.metrics}
    assert rows["test", "mean_iou"].values["b"] is None


def test_other_attributes_of_the_same_files_are_said_to_be_that(history, writing, compare):
    history.add_run(writing.PlannedRun("a"))
    history.add_run(writing.PlannedRun("b", pairs=(*writing.make_pairs(), ("extra", "train", "i", "m"))))
    (first, second) = sorted((history.workspace / "pipelines").rglob("snapshot.jsonl"))
    second.write_text(first.read_text())
    document = compare("a", "b")
    assert document.data[0].same is False
    assert any("attributes" in note for note in document.notes)


def _forget(history, run_id, key):
    context = tracking.find_run(history.store, run_id)
    context.custom_properties[key].string_value = "0" * 64
    history.store.put_contexts([context])
