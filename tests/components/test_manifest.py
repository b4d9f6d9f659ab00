"""Manifests: what is written is read, and damage is a sentence."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from components.manifest import (
    Manifest,
    fingerprint_model,
    hash_files,
    list_versions,
    newest_version,
    read_manifest,
    refuse_changed,
    verify_files,
    version_path,
)
from data.classes import ClassTable, SegmentationClass
from data.errors import RefusedError

TABLE = ClassTable((SegmentationClass(0, "ground", (1, 2, 3)), SegmentationClass(1, "tree", (4, 5, 6))), 255)


def write_version(folder: Path, **changes: object) -> Path:
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables/data").write_bytes(b"weights")
    files = hash_files(str(folder), ["saved_model.pb", "variables/data"])
    content = {
        "name": "scenes",
        "version": 3,
        "run_id": "run-1",
        "created": "2024-01-02T03:04:05+00:00",
        "classes": [{"id": c.id, "name": c.name, "colour": c.colour} for c in TABLE.classes],
        "ignore_id": 255,
        "metrics": {
            "test": {
                "pixel_accuracy": 0.9,
                "mean_class_accuracy": 0.8,
                "mean_iou": 0.7,
                "frequency_weighted_iou": 0.75,
                "iou": {"ground": 0.7, "tree": None},
            }
        },
        "data_fingerprint": "d",
        "code_fingerprint": "c",
        "model_fingerprint": fingerprint_model(str(folder)),
        "files": files,
        "stack": {"python": "3.11"},
        **changes,
    }
    (folder / "manifest.json").write_bytes(Manifest.model_validate(content).to_bytes())
    return folder


def test_what_is_written_is_read(tmp_path: Path) -> None:
    manifest = read_manifest(str(write_version(tmp_path / "3")))

    assert manifest.version == 3
    assert manifest.class_table() == TABLE
    assert manifest.metrics["test"].iou == {"ground": 0.7, "tree": None}


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "is missing"),
        (b"", "is damaged"),
        (b'{"name": "x"', "is damaged"),
        (b"\xff\xfe", "is damaged"),
        (b'{"name": "x"}', "is damaged: version: Field required"),
        (b"[]", "is damaged"),
        (b"[" * 100_000, "is damaged: it holds no JSON"),
        (b'{"name": "x", "name": "y"}', "is damaged: it holds 'name' twice"),
    ],
)
def test_damage_is_refused_with_the_file_and_a_remedy(
    tmp_path: Path, content: bytes | None, what: str
) -> None:
    if content is not None:
        (tmp_path / "manifest.json").write_bytes(content)

    with pytest.raises(RefusedError) as error:
        read_manifest(str(tmp_path))

    (problem,) = error.value.problems
    assert problem.where == f"{tmp_path}/manifest.json"
    assert what in problem.what
    assert "remove the folder" in problem.remedy


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "a/../../b", "variables/\\u0000data"])
def test_files_outside_the_version_are_refused(tmp_path: Path, path: str) -> None:
    folder = write_version(tmp_path / "3")
    text = (folder / "manifest.json").read_text().replace("variables/data", path)
    (folder / "manifest.json").write_text(text)

    with pytest.raises(RefusedError, match="leads out of"):
        verify_files(str(folder))


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("format", 2, "format: Input should be 1"),
        ("newer", 1, "newer: Extra inputs are not permitted"),
        ("version", 2**63, "version: Input should be less than"),
        ("ignore_id", 1, "ignore_id: 1 is the id of a class"),
        (
            "classes",
            [{"id": 1, "name": "a", "colour": [0, 0, 0]}],
            "classes: their ids are not 0 to 0 in order",
        ),
        ("classes", [{"id": i, "name": "a", "colour": [0, 0, 0]} for i in (0, 1)], "two have the same name"),
        ("classes", [{"id": 0, "name": "a", "colour": [0, 0, 256]}], "classes.0.colour.2: Input should be"),
        ("files", {f"variables/{i}": "0" * 64 for i in range(10_001)}, "files: names more than 10,000 files"),
        ("files", {"saved_model.pb": "F" * 64}, "files.saved_model.pb: String should match"),
    ],
)
def test_values_out_of_bounds_are_refused(tmp_path: Path, key: str, value: object, says: str) -> None:
    folder = write_version(tmp_path / "3")
    content = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(content | {key: value}))

    with pytest.raises(RefusedError, match=re.escape(says)):
        read_manifest(str(folder))


def test_a_manifest_without_a_format_is_of_the_first(tmp_path: Path) -> None:
    folder = write_version(tmp_path / "3")
    content = json.loads((folder / "manifest.json").read_text())
    del content["format"]
    (folder / "manifest.json").write_text(json.dumps(content))

    assert read_manifest(str(folder)).format == 1


def test_a_manifest_that_was_fitted_to_changed_files_is_refused(tmp_path: Path) -> None:
    folder = write_version(tmp_path / "3")
    content = json.loads((folder / "manifest.json").read_text())
    (folder / "variables/data").write_bytes(b"poison")
    content["files"]["variables/data"] = hashlib.sha256(b"poison").hexdigest()
    for files in (content["files"], {"saved_model.pb": content["files"]["saved_model.pb"]}):
        (folder / "manifest.json").write_text(json.dumps(content | {"files": files}))

        with pytest.raises(RefusedError, match=r"manifest\.json: was changed"):
            refuse_changed(str(folder))


@pytest.mark.parametrize(
    "path", ["saved_model.pbtxt", "variables/more", "assets/words", "assets.extra/inference.json"]
)
def test_files_that_loaders_would_read_besides_are_refused(tmp_path: Path, path: str) -> None:
    folder = write_version(tmp_path / "3")
    (folder / path).parent.mkdir(exist_ok=True)
    (folder / path).write_bytes(b"more")

    with pytest.raises(RefusedError, match=f"{path}: is not in the version's manifest"):
        refuse_changed(str(folder))


def test_links_out_of_the_version_and_pipes_are_refused(tmp_path: Path) -> None:
    folder = write_version(tmp_path / "3")
    (folder / "variables/data").rename(tmp_path / "data")
    (folder / "variables/data").symlink_to(tmp_path / "data")
    (folder / "saved_model.pb").unlink()
    os.mkfifo(folder / "saved_model.pb")

    assert [(Path(one.where).name, one.code) for one in verify_files(str(folder))] == [
        ("saved_model.pb", "unverified_file"),
        ("data", "unverified_file"),
    ]
    (folder / "manifest.json").unlink()
    os.mkfifo(folder / "manifest.json")
    with pytest.raises(RefusedError, match="cannot be read"):
        read_manifest(str(folder))


def test_changed_and_missing_files_are_found(tmp_path: Path) -> None:
    folder = write_version(tmp_path / "3")
    assert verify_files(str(folder)) == []

    (folder / "saved_model.pb").write_bytes(b"grapH")
    (folder / "variables/data").unlink()
    (folder / "extra").write_bytes(b"warm-up requests, say")

    problems = verify_files(str(folder))
    assert [(Path(problem.where).name, problem.code) for problem in problems] == [
        ("saved_model.pb", "changed_file"),
        ("data", "missing_file"),
    ]


def test_the_fingerprint_follows_the_model_and_nothing_else(tmp_path: Path) -> None:
    first, second = write_version(tmp_path / "3"), write_version(tmp_path / "4", version=4)
    expected = fingerprint_model(str(first))
    (second / "statistics").mkdir()
    (second / "statistics/FeatureStats.pb").write_bytes(b"numbers")
    (second / "fingerprint.pb").write_bytes(b"random")
    assert fingerprint_model(str(second)) == expected

    (second / "variables/data").write_bytes(b"weightS")
    assert fingerprint_model(str(second)) != expected

    (second / "variables/data").write_bytes(b"weights")
    (second / "variables/data").rename(second / "variables/date")
    assert fingerprint_model(str(second)) != expected


def test_no_model_has_no_fingerprint(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no saved_model\.pb"):
        fingerprint_model(str(tmp_path))


def test_versions_are_integers_in_order(tmp_path: Path) -> None:
    for name in ("10", "9", "0", "007", "x", "1.5", ".2", "-3", "٣"):
        (tmp_path / name).mkdir()
    (tmp_path / "11").write_text("a file")

    assert list_versions(str(tmp_path)) == (0, 9, 10)
    assert newest_version(str(tmp_path)) == 10
    assert version_path(str(tmp_path), 10) == str(tmp_path / "10")
    assert list_versions(str(tmp_path / "nowhere")) == ()
    assert newest_version(str(tmp_path / "nowhere")) is None


def test_reading_a_manifest_imports_nothing_heavy() -> None:
    code = "import sys, components.manifest; print({'tensorflow', 'tfx', 'apache_beam'} & set(sys.modules))"

    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert output.stdout.strip() == "set()"
