"""Weights of a pushed version are held against its manifest before anything of them is read."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from data.errors import RefusedError
from data.pushed_files import fingerprint_files
from trainer import read_weights as module
from trainer.read_weights import fingerprint_weights, read_weights

INDEX, DATA = "variables/variables.index", "variables/variables.data-00000-of-00001"


@pytest.fixture
def version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pushed version whose weights TensorFlow would be asked for."""
    contents = {"saved_model.pb": b"graph", INDEX: b"index", DATA: b"data"}
    for name, content in contents.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    files = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    manifest = {"model_fingerprint": fingerprint_files(files), "files": files, "name": "not looked at"}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    monkeypatch.setattr(module, "_read_saved_model", lambda folder: {"read": folder})
    return tmp_path


def test_weights_as_they_were_pushed_are_read(version: Path) -> None:
    assert read_weights(str(version)) == {"read": version}


def test_weights_that_were_changed_are_refused(version: Path) -> None:
    before = fingerprint_weights(str(version))
    (version / DATA).write_bytes(b"date")

    assert fingerprint_weights(str(version)) != before
    with pytest.raises(RefusedError, match="data-00000-of-00001: has changed since it was pushed"):
        read_weights(str(version))


def test_weights_that_the_manifest_does_not_name_are_refused(version: Path) -> None:
    (version / "variables/variables.data-00001-of-00002").write_bytes(b"more")

    with pytest.raises(RefusedError, match="is not in the version's manifest"):
        read_weights(str(version))


@pytest.mark.parametrize("content", ["[", "{}", '{"files": {"../x": "0"}}', '{"files": {}, "files": {}}'])
def test_a_damaged_manifest_is_refused(version: Path, content: str) -> None:
    (version / "manifest.json").write_text(content)

    with pytest.raises(RefusedError, match=r"manifest\.json: is damaged"):
        read_weights(str(version))


def test_a_manifest_of_other_files_is_refused(version: Path) -> None:
    manifest = json.loads((version / "manifest.json").read_text())
    manifest["files"][DATA] = hashlib.sha256(b"date").hexdigest()
    (version / "manifest.json").write_text(json.dumps(manifest))
    (version / DATA).write_bytes(b"date")

    with pytest.raises(RefusedError, match=r"manifest\.json: was changed"):
        read_weights(str(version))


def test_a_model_that_was_not_pushed_is_read_with_a_warning(
    version: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (version / "manifest.json").unlink()

    assert read_weights(str(version)) == {"read": version}
    assert "has no manifest.json" in caplog.text
