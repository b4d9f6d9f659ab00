"""Full disks: what is refused before, what is said after, and what is left alone."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.manifest import list_versions, verify_files
from components.push_version import ModelFacts, push_version
from data.classes import ClassTable, SegmentationClass
from data.errors import RefusedError
from data.free_space import describe_bytes, find_full_disk, free_bytes, refuse_small_disk
from data.list_dataset import list_dataset, measure_pairs
from pipeline.connect_store import open_store
from pipeline.explain_fault import explain_fault
from pipeline.lock_workspace import lock_workspace

TABLE = ClassTable((SegmentationClass(0, "ground", (1, 2, 3)), SegmentationClass(1, "tree", (4, 5, 6))), 255)
FACTS = ModelFacts("scenes", "run-1", TABLE, "code-1", {"metrics": {}, "data_fingerprint": "data-1"})
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB; skips where none may be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("no tmpfs may be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def _write_model(folder: Path, size: int) -> str:
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables/data").write_bytes(os.urandom(size))
    return str(folder)


def _fill(folder: Path) -> Path:
    path = folder / "ballast"
    with pytest.raises(OSError, match="No space left"), path.open("wb", buffering=0) as stream:
        while True:
            stream.write(b"x" * 4096)
    return path


def test_sizes_are_said_in_units_of_a_thousand():
    sizes = (0, 900, 12_300, 3_450_000, 1_200_000_000)
    assert [describe_bytes(size) for size in sizes] == ["0 kB", "1 kB", "12 kB", "3.5 MB", "1.2 GB"]


def test_the_room_of_a_folder_that_is_not_there_yet_is_that_of_its_parent(tmp_path, monkeypatch):
    asked = []

    def disk_usage(path):
        asked.append(Path(path))
        return Usage(100, 40, 60)

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)
    assert free_bytes(tmp_path / "a" / "b") == 60
    assert asked == [tmp_path]
    # A file system that tells nothing is not taken for a full one.
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 0))
    assert free_bytes(tmp_path) is None
    refuse_small_disk(str(tmp_path), 10**18, "the records")


def test_too_little_room_is_refused_with_the_path_and_both_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(100_000_000, 0, 5_000_000))
    refuse_small_disk(str(tmp_path), 5_000_000, "the records")
    refuse_small_disk("s3://bucket/models", 10**18, "the records")
    with pytest.raises(RefusedError) as refused:
        refuse_small_disk(str(tmp_path), 5_000_001, "the records")
    (problem,) = refused.value.problems
    assert (problem.where, problem.code) == (str(tmp_path), "disk_full")
    assert problem.what == "the disk is full: 5.0 MB are free, and the records need about 5.0 MB"


def test_the_size_of_a_data_set_is_that_of_its_images_and_masks(tmp_path, write_pairs):
    config = write_pairs(tmp_path / "data", {"train": 2, "val": 1})
    files = [path for path in (tmp_path / "data").rglob("*.png")]
    assert len(files) == 6
    assert measure_pairs(list_dataset(config).pairs) == sum(path.stat().st_size for path in files)


def _raise(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except type(error) as raised:
        return raised


FULL = os.strerror(errno.ENOSPC)


@pytest.mark.parametrize(
    ("error", "path"),
    [
        (OSError(errno.ENOSPC, FULL, "/data/model/part"), "/data/model/part"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "/home/me/x"), "/home/me/x"),
        (_raise(RuntimeError("in a step"), OSError(errno.ENOSPC, FULL, "/data/x")), "/data/x"),
        # As TensorFlow and Beam have it, the text alone.
        (RuntimeError(f"ResourceExhausted: /data/ckpt/part-0; {FULL} [Op:SaveV2]"), "/data/ckpt/part-0"),
        (RuntimeError(f"OSError: [Errno 28] {FULL} [while running 'Write']"), "PLACE"),
        (RuntimeError("Error when executing query: database or disk is full query: INSERT"), "PLACE"),
        (OSError(errno.EIO, "Input/output error", "/data/x"), None),
        (ValueError("nothing of the kind"), None),
    ],
)
def test_a_full_disk_is_found_behind_what_libraries_make_of_it(error, path, tmp_path):
    assert find_full_disk(error, [tmp_path]) == (str(tmp_path) if path == "PLACE" else path)


def test_errors_that_lead_to_each_other_are_gone_through_once():
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert find_full_disk(first, []) is None


def test_a_full_disk_becomes_a_sentence_with_what_is_kept(tmp_path):
    # The workspace is measured, not all of a temporary folder, where others make and remove files.
    other = tmp_path / "tmp"
    for folder, size in ((tmp_path / "workspace", 80_000_000), (other, 200_000_000)):
        folder.mkdir()
        with (folder / "checkpoint").open("wb") as stream:
            stream.truncate(size)
    error = OSError(errno.ENOSPC, FULL, str(tmp_path / "y"))
    problem = explain_fault(error, [tmp_path / "workspace", other], "store")
    assert problem is not None and problem.where == str(tmp_path / "y")
    assert "the files of this run need about 160.0 MB" in problem.what
    assert "run the same command again" in problem.remedy


def test_a_model_that_does_not_fit_leaves_what_is_served_and_is_pushed_when_there_is_room(
    small_disk, tmp_path
):
    root = small_disk / "serving"
    push_version(str(root), _write_model(tmp_path / "a", 300_000), FACTS)
    model = _write_model(tmp_path / "b", 800_000)
    with pytest.raises(RefusedError, match=r"serving: the disk is full: .* need about 800 kB"):
        push_version(str(root), model, FACTS)
    assert list_versions(str(root)) == (1,)
    assert verify_files(str(root / "1")) == []
    subprocess.run(["mount", "-o", "remount,size=2m", str(small_disk)], check=True)
    assert push_version(str(root), model, FACTS).version == 2


def test_a_disk_that_fills_up_within_a_push_leaves_no_half_version(small_disk, tmp_path, monkeypatch):
    # What another program writes after the room was asked for.
    monkeypatch.setattr("components.push_version.refuse_small_disk", lambda *_: None)
    root = small_disk / "serving"
    push_version(str(root), _write_model(tmp_path / "a", 300_000), FACTS)
    model = _write_model(tmp_path / "b", 800_000)
    with pytest.raises(OSError, match="No space left"):
        push_version(str(root), model, FACTS)
    assert {path.name for path in root.iterdir()} == {"1", ".pushes.jsonl"}
    assert verify_files(str(root / "1")) == []


def test_a_workspace_on_a_full_disk_is_locked_all_the_same(small_disk):
    lock_file = small_disk / "run.lock"
    lock_file.touch()
    _fill(small_disk)
    with (
        lock_workspace(lock_file, "run-a"),
        pytest.raises(RefusedError, match="is held by another run"),
        lock_workspace(lock_file, "run-b", wait=False),
    ):
        pass


def test_a_store_that_cannot_be_made_on_a_full_disk_says_so(small_disk):
    _fill(small_disk)
    with pytest.raises(RefusedError, match=r"metadata\.sqlite: the disk is full: 0 kB are free"):
        open_store(small_disk / "metadata.sqlite", create=True)
