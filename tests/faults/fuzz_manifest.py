"""Any bytes as a pushed version's manifest: a whole one, or a sentence, and no file outside its folder."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from fuzz_bytes import mutate
from fuzz_trees import change_tree
from hypothesis import strategies as st

from components.manifest import Manifest, read_manifest, verify_files
from data.errors import RefusedError
from data.pushed_files import fingerprint_files, read_table

NAME = "manifest"
_FILES = {
    "saved_model.pb": b"graph",
    "variables/variables.index": b"index",
    "assets.extra/inference.json": b"{}",
}
_SECRET = b"what lies beside the versions"


def check(data: bytes) -> None:
    """Reads the bytes as manifest.json of a version with three files."""
    with tempfile.TemporaryDirectory(prefix="fuzz_manifest_") as folder:
        version = Path(folder, "3")
        for name, content in _FILES.items():
            (version / name).parent.mkdir(parents=True, exist_ok=True)
            (version / name).write_bytes(content)
        (Path(folder) / "secret").write_bytes(_SECRET)
        (version / "link").symlink_to("../secret")
        (version / "manifest.json").write_bytes(data)
        try:
            manifest = read_manifest(str(version))
        except RefusedError as error:
            (problem,) = error.problems
            assert problem.where == f"{version}/manifest.json" and len(problem.sentence()) < 5000
            return
        _check_manifest(manifest, version, data)


def _check_manifest(manifest: Manifest, version: Path, data: bytes) -> None:
    table = manifest.class_table()
    assert len(table.palette()) == 256 and table.names == tuple(entry.name for entry in manifest.classes)
    assert Manifest.model_validate_json(manifest.to_bytes(), strict=True) == manifest
    json.dumps(manifest.model_dump(mode="json"))
    problems = verify_files(str(version))
    assert all(problem.what and problem.remedy for problem in problems)
    real = {name: hashlib.sha256(content).hexdigest() for name, content in _FILES.items()}
    is_true = manifest.files == real and manifest.model_fingerprint == fingerprint_files(real)
    assert is_true == (not problems)
    for path in manifest.files:
        whole = os.path.realpath(version / path)
        assert whole.startswith(os.path.realpath(version) + "/") or problems
    try:
        assert read_table(str(version), data) == manifest.files
    except RefusedError:
        assert problems


def _make_manifest() -> dict[str, Any]:
    files = {name: hashlib.sha256(content).hexdigest() for name, content in _FILES.items()}
    shares = dict.fromkeys(("pixel_accuracy", "mean_class_accuracy", "mean_iou"), 0.7)
    metrics = {**shares, "frequency_weighted_iou": None, "iou": {"c0": 0.7, "c1": None}}
    texts = dict.fromkeys(("name", "run_id", "created", "data_fingerprint", "code_fingerprint"), "x")
    return {
        **texts,
        "format": 1,
        "version": 3,
        "classes": [{"id": i, "name": f"c{i}", "colour": [i, 2, 3]} for i in range(3)],
        "ignore_id": 255,
        "inference": {"flip": True},
        "metrics": {"test": metrics},
        "model_fingerprint": fingerprint_files(files),
        "files": files,
        "stack": {"python": "3.11"},
    }


_PATHS = st.sampled_from(
    (
        *("../secret", "link", "/etc/passwd", "..", ".", "", "a/../../secret", "variables", "x\0", "~/x"),
        *(
            "s3://b/k",
            "saved_model.pb/x",
            "x" * 300,
            "\\..\\x",
            "//x",
            "variables//variables.index",
            "\u202e",
        ),
        *("manifest.json", "saved_model.pb"),
    )
)
_NASTY = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=12),
    _PATHS,
    st.lists(st.integers(0, 3), max_size=3),
    st.dictionaries(
        _PATHS, st.sampled_from(["0" * 64, "x", hashlib.sha256(_SECRET).hexdigest()]), max_size=3
    ),
)


@st.composite
def _documents(draw: st.DrawFn) -> bytes:
    tree = _make_manifest()
    change_tree(draw, tree, _PATHS, _NASTY)
    if draw(st.booleans()) and isinstance(tree.get("files"), dict):
        # As somebody would who knows how the fingerprint is made.
        files = {key: value for key, value in tree["files"].items() if isinstance(value, str)}
        encodable = {key: value for key, value in files.items() if key.isascii() and value.isascii()}
        tree["model_fingerprint"] = fingerprint_files(encodable)
    return json.dumps(tree).encode()


_WORDS = (
    *(
        b'"',
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"null",
        b"1e999",
        b"NaN",
        b"\\ud800",
        b"\\u0000",
        b"\xff",
        b"\0",
    ),
    b'"files":{},',
)
INPUTS: st.SearchStrategy[bytes] = st.one_of(
    _documents(), mutate(_documents(), _WORDS), st.binary(max_size=60)
)
