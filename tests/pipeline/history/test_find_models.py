"""Which pushed model is meant."""

from __future__ import annotations

import shutil

import pytest

from data.errors import RefusedError
from pipeline import tracking
from pipeline.history.find_models import find_model, list_pushed


@pytest.fixture
def meant(history):
    """Returns the model that a text means."""

    def call(text):
        run_ids = {record.run_id for record in tracking.list_runs(history.store)}
        return find_model(list_pushed(history.store), str(text), run_ids)

    return call


@pytest.fixture
def two_versions(history, writing):
    configuration = writing.make_configuration()
    configuration["trainer"]["epochs"] = 30
    history.add_run(writing.PlannedRun("run-1", version=1))
    history.add_run(writing.PlannedRun("run-2", version=2, configuration=configuration))
    return history


def test_a_model_is_found_by_number_name_and_path(two_versions, meant):
    path = two_versions.workspace / "serving" / "boxes" / "2"
    for text in ("2", "boxes/2", path, f"{path}/"):
        assert (meant(text).name, meant(text).version) == ("boxes", 2)


def test_a_version_that_was_removed_is_still_known(two_versions, meant):
    shutil.rmtree(two_versions.workspace / "serving" / "boxes" / "1")
    assert not meant("boxes/1").is_served
    assert meant("boxes/2").is_served


def test_a_copy_elsewhere_is_known_by_its_manifest(two_versions, meant, tmp_path):
    shutil.copytree(two_versions.workspace / "serving" / "boxes" / "2", tmp_path / "on-the-server")
    found = meant(tmp_path / "on-the-server")
    assert (found.label, found.path) == ("boxes/2", str(tmp_path / "on-the-server"))


def test_a_copy_from_another_workspace_is_refused(two_versions, meant, tmp_path, writing):
    other = writing.HistoryStore(tmp_path / "other")
    other.add_run(writing.PlannedRun("run-elsewhere", version=2))
    with pytest.raises(RefusedError, match="boxes/2, pushed by run run-elsewhere"):
        meant(tmp_path / "other" / "serving" / "boxes" / "2")


def test_a_damaged_manifest_of_a_copy_is_refused(two_versions, meant, tmp_path):
    writing_to = tmp_path / "copy"
    writing_to.mkdir()
    (writing_to / "manifest.json").write_text("{")
    with pytest.raises(RefusedError, match="damaged"):
        meant(writing_to)


def test_a_number_that_two_pipelines_have_is_refused(two_versions, meant, writing):
    two_versions.add_run(writing.PlannedRun("run-3", configuration=writing.make_configuration("roads")))
    with pytest.raises(RefusedError, match="boxes/1, roads/1"):
        meant("1")
    assert meant("roads/1").name == "roads"


@pytest.mark.parametrize("text", ["3", "roads/1", "run-1", "train/scene_000", "/nowhere", ""])
def test_what_is_no_model_is_none(two_versions, meant, text):
    assert meant(text) is None


def test_a_model_that_was_pushed_again_is_one_version(two_versions, meant, writing):
    again = writing.make_configuration()
    again["evaluation"]["gates"]["floors"]["mean_iou"] = 0.4
    two_versions.add_run(writing.PlannedRun("run-3", version=1, configuration=again))
    assert [one.label for one in list_pushed(two_versions.store)] == ["boxes/1", "boxes/2"]


def test_a_run_that_pushed_nothing_has_no_version(history, writing):
    history.add_run(writing.PlannedRun("run-1", status="not blessed"))
    assert list_pushed(history.store) == []


@pytest.mark.parametrize("text", ["9" * 5000, "a\0b", "/" + "x/" * 3000, ""])
def test_what_cannot_be_a_path_is_no_model(two_versions, meant, text):
    assert meant(text) is None


def test_copies_are_looked_for_on_request_only(two_versions, tmp_path):
    shutil.copytree(two_versions.workspace / "serving" / "boxes" / "2", tmp_path / "copy")
    pushed = list_pushed(two_versions.store)
    assert find_model(pushed, str(tmp_path / "copy"), {"run-2"}).label == "boxes/2"
    assert find_model(pushed, str(tmp_path / "copy"), {"run-2"}, copies=False) is None
