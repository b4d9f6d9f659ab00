"""Pushes: whole or not at all, each with a number of its own, none of them overwriting another."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from components import local_versions
from components.baseline_reference import BaselineReference, find_baseline
from components.fetch_version import on_this_machine
from components.local_versions import LocalVersions
from components.manifest import list_versions, read_manifest, verify_files
from components.push_version import ModelFacts, find_vanished, push_version
from data.classes import ClassTable, SegmentationClass
from data.errors import RefusedError

TABLE = ClassTable((SegmentationClass(0, "ground", (1, 2, 3)), SegmentationClass(1, "tree", (4, 5, 6))), 255)
VERDICT = {
    "metrics": {
        "test": {
            "pixel_accuracy": 0.9,
            "mean_class_accuracy": 0.8,
            "mean_iou": 0.7,
            "frequency_weighted_iou": 0.75,
            "iou": {"ground": 0.7, "tree": None},
        }
    },
    "data_fingerprint": "data-1",
}
FACTS = ModelFacts("scenes", "run-1", TABLE, "code-1", VERDICT)


def write_model(folder: Path, weights: bytes = b"weights") -> str:
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables/data").write_bytes(weights)
    return str(folder)


def names(root: Path) -> set[str]:
    return {path.name for path in root.iterdir()} - {local_versions.PUSH_LOG}


def test_a_push_is_a_whole_version_with_a_true_manifest(tmp_path: Path) -> None:
    root, model = tmp_path / "serving", write_model(tmp_path / "model")
    (tmp_path / "stats").write_bytes(b"numbers")

    pushed = push_version(str(root), model, FACTS, str(tmp_path / "stats"))

    assert (pushed.version, pushed.path, pushed.is_new) == (1, str(root / "1"), True)
    assert names(root) == {"1"}
    assert (root / "1/variables/data").read_bytes() == b"weights"
    assert (root / "1/statistics/FeatureStats.pb").read_bytes() == b"numbers"
    manifest = read_manifest(pushed.path)
    assert verify_files(pushed.path) == []
    assert set(manifest.files) == {"saved_model.pb", "variables/data", "statistics/FeatureStats.pb"}
    assert (manifest.name, manifest.version, manifest.run_id) == ("scenes", 1, "run-1")
    assert (manifest.data_fingerprint, manifest.code_fingerprint) == ("data-1", "code-1")
    assert manifest.class_table() == TABLE
    assert manifest.metrics["test"].mean_iou == 0.7
    assert manifest.stack["tensorflow"].startswith("2.")


def test_versions_count_up_and_leave_the_others_alone(tmp_path: Path) -> None:
    root = tmp_path / "serving"
    (root / "7").mkdir(parents=True)
    (root / "7/saved_model.pb").write_bytes(b"somebody else's")

    assert push_version(str(root), write_model(tmp_path / "a", b"a"), FACTS).version == 8
    assert push_version(str(root), write_model(tmp_path / "b", b"b"), FACTS).version == 9
    assert (root / "7/saved_model.pb").read_bytes() == b"somebody else's"
    assert (root / "8/variables/data").read_bytes() == b"a"


def test_the_model_that_is_served_already_is_not_copied(tmp_path: Path) -> None:
    root = tmp_path / "serving"
    first = push_version(str(root), write_model(tmp_path / "a"), FACTS)
    before = (root / "1").stat().st_mtime_ns

    again = push_version(str(root), write_model(tmp_path / "copy"), FACTS)

    assert (again.version, again.path, again.is_new) == (1, first.path, False)
    assert names(root) == {"1"}
    assert (root / "1").stat().st_mtime_ns == before


def test_a_served_model_that_was_damaged_is_pushed_again(tmp_path: Path) -> None:
    root, model = tmp_path / "serving", write_model(tmp_path / "a")
    push_version(str(root), model, FACTS)
    (root / "1/variables/data").write_bytes(b"weightS")

    assert push_version(str(root), model, FACTS).version == 2


def test_an_older_model_comes_back_as_a_new_version(tmp_path: Path) -> None:
    root = tmp_path / "serving"
    a, b = write_model(tmp_path / "a", b"a"), write_model(tmp_path / "b", b"b")

    assert [push_version(str(root), model, FACTS).version for model in (a, b, a)] == [1, 2, 3]


def test_a_number_is_never_used_twice(tmp_path: Path) -> None:
    root = tmp_path / "serving"
    push_version(str(root), write_model(tmp_path / "a", b"a"), FACTS)
    (root / "1").rename(tmp_path / "moved away")

    assert push_version(str(root), write_model(tmp_path / "b", b"b"), FACTS).version == 2


def test_a_removed_version_is_known_to_be_gone(tmp_path: Path) -> None:
    root, model, other = (
        tmp_path / "serving",
        write_model(tmp_path / "a", b"a"),
        write_model(tmp_path / "b", b"b"),
    )
    assert find_vanished(str(root), model) == ""
    push_version(str(root), model, FACTS)
    assert find_vanished(str(root), model) == ""

    (root / "1").rename(tmp_path / "moved away")

    assert find_vanished(str(root), model) == "1"
    assert find_vanished(str(root), other) == ""
    push_version(str(root), model, FACTS)
    assert find_vanished(str(root), model) == "1"


def _push_in_process(root: str, model: str, barrier: Any) -> None:
    barrier.wait()
    push_version(root, model, FACTS)


@pytest.mark.slow
def test_pushes_at_once_end_with_distinct_whole_versions(tmp_path: Path) -> None:
    root, count = tmp_path / "serving", 6
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(count)
    models = [write_model(tmp_path / f"m{i}", os.urandom(2_000_000)) for i in range(count)]
    processes = [context.Process(target=_push_in_process, args=(str(root), m, barrier)) for m in models]
    for process in processes:
        process.start()
    for process in processes:
        process.join()

    assert [process.exitcode for process in processes] == [0] * count
    assert names(root) == {str(version) for version in range(1, count + 1)}
    versions = [str(root / str(version)) for version in range(1, count + 1)]
    assert all(verify_files(path) == [] for path in versions)
    assert [read_manifest(path).version for path in versions] == list(range(1, count + 1))
    assert len({read_manifest(path).model_fingerprint for path in versions}) == count
    assert len(LocalVersions(str(root)).read_push_log()) == count


@pytest.mark.slow
def test_the_same_model_pushed_at_once_is_served_whole(tmp_path: Path) -> None:
    root = tmp_path / "serving"
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(4)
    model = write_model(tmp_path / "m", os.urandom(2_000_000))
    processes = [context.Process(target=_push_in_process, args=(str(root), model, barrier)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()

    assert [process.exitcode for process in processes] == [0] * 4
    assert names(root) == {"1"}
    assert verify_files(str(root / "1")) == []


def _push_slowly(root: str, model: str) -> None:
    copy = local_versions.StagedVersion.copy_file

    def slow(self: local_versions.StagedVersion, source: str, path: str) -> None:
        copy(self, source, path)
        time.sleep(600)

    local_versions.StagedVersion.copy_file = slow  # type: ignore[method-assign]
    push_version(root, model, FACTS)


@pytest.mark.slow
def test_a_push_that_is_killed_leaves_no_version(tmp_path: Path) -> None:
    root, model = tmp_path / "serving", write_model(tmp_path / "model")
    process = multiprocessing.get_context("fork").Process(target=_push_slowly, args=(str(root), model))
    process.start()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not list(root.glob(".*.tmp/*")):
        time.sleep(0.01)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()

    assert len(list(root.glob(".*.tmp/*"))) > 0  # It was in the midst of it.
    assert list_versions(str(root)) == ()
    assert push_version(str(root), model, FACTS).version == 1


def test_a_push_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, model = tmp_path / "serving", write_model(tmp_path / "model")

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(local_versions.StagedVersion, "write_file", full_disk)
        with pytest.raises(OSError, match="No space left"):
            push_version(str(root), model, FACTS)

    assert names(root) == set()


def test_an_empty_folder_is_not_replaced(tmp_path: Path) -> None:
    """A rename would replace it: it may be another's number."""
    with local_versions.StagedVersion(str(tmp_path)) as staged:
        staged.write_file("x", b"x")
        (tmp_path / "1").mkdir()

        assert staged.place(1) is False
        assert staged.place(2) is True
    assert list((tmp_path / "1").iterdir()) == []


def test_a_remote_root_is_refused_and_no_folder_named_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = write_model(tmp_path / "m")

    for action in (
        lambda: push_version("hdfs://name/serving", model, FACTS),
        lambda: find_baseline("hdfs://name/serving", model, TABLE),
    ):
        with pytest.raises(RefusedError, match="hdfs://name/serving: is no place"):
            action()
    assert names(tmp_path) == {"m"}


def test_only_what_died_a_day_ago_is_removed(tmp_path: Path) -> None:
    for name, age_hours in ((".old.tmp", 25), (".new.tmp", 23), ("1", 100), (".config", 100)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "f").write_bytes(b"")
        for path in (folder / "f", folder):
            os.utime(path, (0, time.time() - age_hours * 3600))

    assert LocalVersions(str(tmp_path)).remove_stale() == (".old.tmp",)
    assert {path.name for path in tmp_path.iterdir()} == {".new.tmp", "1", ".config"}


def test_the_baseline_is_the_newest_other_model(tmp_path: Path) -> None:
    root = str(tmp_path / "serving")
    a, b = write_model(tmp_path / "a", b"a"), write_model(tmp_path / "b", b"b")
    assert find_baseline(root, a, TABLE).to_value() == ""

    push_version(root, a, FACTS)
    assert find_baseline(root, a, TABLE).to_value() == ""  # The same as before its push: a cache hit.
    before = find_baseline(root, b, TABLE)
    assert before.path == f"{root}/1"

    push_version(root, b, FACTS)
    assert find_baseline(root, b, TABLE) == before
    assert find_baseline(root, a, TABLE).path == f"{root}/2"


def test_the_baselines_string_follows_content(tmp_path: Path) -> None:
    """Deleted and filled again, a serving root uses its numbers again for other models."""
    first, second = tmp_path / "one/serving", tmp_path / "two/serving"
    c = write_model(tmp_path / "c", b"c")
    push_version(str(first), write_model(tmp_path / "a", b"a"), FACTS)
    push_version(str(second), write_model(tmp_path / "b", b"b"), FACTS)

    values = {find_baseline(str(root), c, TABLE).to_value().split("/1")[1] for root in (first, second)}

    assert len(values) == 2


def test_other_classes_are_no_baseline(tmp_path: Path) -> None:
    root = str(tmp_path / "serving")
    push_version(root, write_model(tmp_path / "a", b"a"), FACTS)
    b = write_model(tmp_path / "b", b"b")
    renamed = ClassTable((TABLE.classes[0], SegmentationClass(1, "bush", (4, 5, 6))), 255)
    recoloured = ClassTable((TABLE.classes[0], SegmentationClass(1, "tree", (9, 9, 9))), 255)

    found = find_baseline(root, b, renamed)

    assert found.path == ""
    assert found.reason == "the newest pushed version, 1, has another class table"
    assert BaselineReference.from_value(found.to_value()) == found
    assert find_baseline(root, b, ClassTable(TABLE.classes, 254)).path == ""
    assert find_baseline(root, b, recoloured).path == f"{root}/1"


def test_a_damaged_manifest_is_refused(tmp_path: Path) -> None:
    root = str(tmp_path / "serving")
    push_version(root, write_model(tmp_path / "a", b"a"), FACTS)
    (tmp_path / "serving/1/manifest.json").write_text("{")

    with pytest.raises(RefusedError, match=r"serving/1/manifest\.json: is damaged"):
        find_baseline(root, write_model(tmp_path / "b", b"b"), TABLE)


def test_a_baseline_that_was_changed_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    root = str(tmp_path / "serving")
    pushed = push_version(root, write_model(tmp_path / "a", b"a"), FACTS)
    (tmp_path / "serving/1/variables/data").write_bytes(b"x")

    for look in (
        lambda: find_baseline(root, write_model(tmp_path / f"b{time.time_ns()}", b"b"), TABLE),
        lambda: on_this_machine(pushed.path, tmp_path / "unused").__enter__(),
    ):
        with pytest.raises(RefusedError, match="1/variables/data: has changed since it was pushed"):
            look()


def test_a_model_that_changes_while_it_is_copied_is_not_pushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write_model(tmp_path / "m")
    copy = local_versions.StagedVersion.copy_tree

    def change_and_copy(self: Any, source: str) -> None:
        (tmp_path / "m/variables/data").write_bytes(b"weightS")
        copy(self, source)

    monkeypatch.setattr(local_versions.StagedVersion, "copy_tree", change_and_copy)
    with pytest.raises(OSError, match="changed while it was copied"):
        push_version(str(tmp_path / "serving"), model, FACTS)
    assert names(tmp_path / "serving") == set()


@pytest.mark.parametrize(
    "reference",
    [
        BaselineReference(),
        BaselineReference("/a#model=b/3", "abc", reason=""),
        BaselineReference(reason="the newest pushed version, 1, has another class table"),
    ],
)
def test_references_survive_their_string(reference: BaselineReference) -> None:
    assert BaselineReference.from_value(reference.to_value()) == reference
