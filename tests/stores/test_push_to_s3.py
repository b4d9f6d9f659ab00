"""Pushes to an object store: whole or not at all, each with a number of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from components.baseline_reference import find_baseline
from components.fetch_version import fetch_version, on_this_machine
from components.manifest import list_versions, read_manifest, verify_files
from components.object_versions import ObjectVersions
from components.push_version import ModelFacts, PushedVersion, find_vanished, push_version
from data.classes import ClassTable, SegmentationClass
from data.errors import RefusedError
from data.object_store import StoreError
from data.s3_store import S3Store

ROOT = "s3://bucket/serving/scenes"
TABLE = ClassTable((SegmentationClass(0, "ground", (1, 2, 3)), SegmentationClass(1, "tree", (4, 5, 6))), 255)
FACTS = ModelFacts("scenes", "run-1", TABLE, "code-1", {"metrics": {}, "data_fingerprint": "data-1"})


def write_model(folder: Path, weights: bytes = b"weights") -> str:
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables/data").write_bytes(weights)
    return str(folder)


def push(folder: Path, weights: bytes) -> PushedVersion:
    return push_version(ROOT, write_model(folder, weights), FACTS)


def test_a_push_is_a_whole_version_with_a_true_manifest(s3: Any, tmp_path: Path) -> None:
    (tmp_path / "stats").write_bytes(b"numbers")
    model = write_model(tmp_path / "model")
    pushed = push_version(ROOT, model, FACTS, str(tmp_path / "stats"))
    assert (pushed.version, pushed.path, pushed.is_new) == (1, f"{ROOT}/1", True)
    files = {key.removeprefix("serving/scenes/1/") for key in s3.keys("serving/scenes/1/")}
    assert files == {"saved_model.pb", "variables/data", "manifest.json", "statistics/FeatureStats.pb"}
    assert s3.read("serving/scenes/1/variables/data") == b"weights"
    assert read_manifest(pushed.path).files.keys() == files - {"manifest.json"}
    assert verify_files(pushed.path) == []
    again = push_version(ROOT, model, FACTS)
    assert (again.version, again.is_new) == (1, False)


def test_the_file_that_makes_it_a_version_comes_last(
    s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload, seen = S3Store.upload, {}

    def watch(self: S3Store, source: Path, key: str) -> None:
        seen[key] = (list_versions(ROOT), set(s3.keys("serving/scenes/1/")))
        upload(self, source, key)

    monkeypatch.setattr(S3Store, "upload", watch)
    push(tmp_path / "model", b"a")
    assert list(seen)[-1] == "serving/scenes/1/saved_model.pb"
    assert {versions for versions, _ in seen.values()} == {()}
    there = seen["serving/scenes/1/saved_model.pb"][1]
    assert there == {"serving/scenes/1/manifest.json", "serving/scenes/1/variables/data"}
    assert list_versions(ROOT) == (1,)


def test_numbers_count_up_and_none_is_used_twice(s3: Any, tmp_path: Path) -> None:
    s3.client.put_object(Bucket="bucket", Key="serving/scenes/7/saved_model.pb", Body=b"somebody else's")
    model = write_model(tmp_path / "a", b"a")
    assert push_version(ROOT, model, FACTS).version == 8
    for key in s3.keys("serving/scenes/8/"):
        s3.delete(key)
    assert list_versions(ROOT) == (7,)
    assert find_vanished(ROOT, model) == "8"
    assert push(tmp_path / "b", b"b").version == 9
    assert s3.read("serving/scenes/7/saved_model.pb") == b"somebody else's"


@pytest.mark.parametrize("broken", ["variables/data", "saved_model.pb"])
def test_an_upload_that_fails_leaves_no_version(
    s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    first = push(tmp_path / "a", b"a")
    upload = S3Store.upload

    def fail(self: S3Store, source: Path, key: str) -> None:
        upload(self, source, key)
        if key.endswith(broken):
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(S3Store, "upload", fail)
        with pytest.raises(KeyboardInterrupt):
            push(tmp_path / "b", b"b")
    assert s3.keys("serving/scenes/2/") == []
    assert list_versions(ROOT) == (1,) and verify_files(first.path) == []
    assert push(tmp_path / "c", b"c").version == 3


PUSH = """
import os, signal, sys, time
from pathlib import Path
from components.push_version import ModelFacts, push_version
from data.classes import ClassTable, SegmentationClass
from data.s3_store import S3Store

root, model, go, dies = sys.argv[1:]
upload = S3Store.upload

def upload_and_die(self, source, key):
    upload(self, source, key)
    os.kill(os.getpid(), signal.SIGKILL)

if dies == "dies":
    S3Store.upload = upload_and_die
table = ClassTable((SegmentationClass(0, "ground", (1, 2, 3)), SegmentationClass(1, "tree", (4, 5, 6))), 255)
while not Path(go).exists():
    time.sleep(0.001)
push_version(root, model, ModelFacts("scenes", "run-1", table, "code-1", {"data_fingerprint": "data-1"}))
"""


def start_push(model: str, go: Path, fate: str = "lives") -> subprocess.Popen[bytes]:
    """Starts a push in a process of its own, which waits for the file ``go``."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    return subprocess.Popen([sys.executable, "-c", PUSH, ROOT, model, str(go), fate], env=environment)


@pytest.mark.slow
def test_what_a_killed_push_left_is_no_version_and_is_removed_a_day_later(s3: Any, tmp_path: Path) -> None:
    process = start_push(write_model(tmp_path / "a"), tmp_path, "dies")
    assert process.wait() == -signal.SIGKILL
    assert s3.keys("serving/scenes/1/") == ["serving/scenes/1/variables/data"]
    assert list_versions(ROOT) == ()
    assert find_baseline(ROOT, write_model(tmp_path / "b", b"b"), TABLE).path == ""
    assert push(tmp_path / "c", b"c").version == 2

    versions = ObjectVersions(ROOT)
    assert versions.remove_stale(time.time() + 23 * 3600) == ()
    assert versions.remove_stale(time.time() + 25 * 3600) == ("1",)
    assert s3.keys("serving/scenes/1/") == [] and verify_files(f"{ROOT}/2") == []


@pytest.mark.slow
def test_pushes_at_once_end_with_distinct_whole_versions(s3: Any, tmp_path: Path) -> None:
    models = [write_model(tmp_path / f"m{i}", os.urandom(300_000)) for i in range(3)]
    processes = [start_push(model, tmp_path / "go") for model in models]
    time.sleep(1.5)
    (tmp_path / "go").touch()
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert list_versions(ROOT) == (1, 2, 3)
    versions = [f"{ROOT}/{number}" for number in (1, 2, 3)]
    assert all(verify_files(path) == [] for path in versions)
    assert len({read_manifest(path).model_fingerprint for path in versions}) == 3


def test_a_store_that_knows_no_conditions_is_noticed(
    s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put = S3Store._put
    monkeypatch.setattr(S3Store, "_put", lambda self, key, body, md5, **_: put(self, key, body, md5))
    assert push(tmp_path / "a", b"a").version == 1
    assert "overlooks the condition If-None-Match" in caplog.text


def test_the_baseline_is_the_newest_other_model(s3: Any, tmp_path: Path) -> None:
    a, b = write_model(tmp_path / "a", b"a"), write_model(tmp_path / "b", b"b")
    push_version(ROOT, a, FACTS)
    assert find_baseline(ROOT, a, TABLE).to_value() == ""
    found = find_baseline(ROOT, b, TABLE)
    assert found.path == f"{ROOT}/1"
    with on_this_machine(found.path, tmp_path / "scratch") as folder:
        assert folder == str(tmp_path / "scratch/1") and verify_files(folder) == []
    assert not (tmp_path / "scratch").exists()


def test_a_version_is_fetched_once_and_held_against_its_manifest(s3: Any, tmp_path: Path) -> None:
    push(tmp_path / "a", b"a")
    folder = fetch_version(f"{ROOT}/1", tmp_path / "cache")
    assert (folder / "variables/data").read_bytes() == b"a"
    before = (folder / "variables/data").stat().st_mtime_ns
    fetch_version(f"{ROOT}/1", folder)
    assert (folder / "variables/data").stat().st_mtime_ns == before

    s3.client.put_object(Bucket="bucket", Key="serving/scenes/1/variables/data", Body=b"x")
    (folder / "variables/data").write_bytes(b"y")
    with pytest.raises(RefusedError, match=f"{ROOT}/1/variables/data: has changed since it was pushed"):
        fetch_version(f"{ROOT}/1", folder)
    s3.delete("serving/scenes/1/manifest.json")
    with pytest.raises(RefusedError, match=r"1/manifest\.json: is missing"):
        fetch_version(f"{ROOT}/1", folder)


def test_a_store_that_permits_no_writing_says_so(
    s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:PutObject",
                "Resource": "arn:aws:s3:::bucket/*",
            }
        ],
    }
    s3.client.put_bucket_policy(Bucket="bucket", Policy=json.dumps(policy))
    with pytest.raises(StoreError, match="do not permit writing here"):
        push(tmp_path / "a", b"a")
