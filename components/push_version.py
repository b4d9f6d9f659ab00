"""Pushing: a blessed model becomes the next version of a serving root, whole or not at all."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from components.make_formats import FormatMaker
from components.manifest import (
    MANIFEST_FILE,
    STATISTICS_FILE,
    Manifest,
    ManifestClass,
    ManifestFormat,
    ManifestMetrics,
    fingerprint_model,
    newest_version,
    read_manifest,
    verify_files,
    version_path,
)
from components.version_store import StagedVersion, VersionStore, open_versions
from data.classes import ClassTable
from data.errors import RefusedError
from data.free_space import refuse_small_disk
from data.pushed_files import fingerprint_files
from trainer.inference_config import InferenceConfig
from trainer.inference_file import read_inference

_STACK = (
    "tensorflow",
    "keras",
    "tfx",
    "apache-beam",
    "tensorflow-transform",
    "tensorflow-model-analysis",
    "tensorflow-data-validation",
    "ml-metadata",
    "numpy",
    "protobuf",
    "tf2onnx",
    "onnxruntime",
)
_MAX_ATTEMPTS = 1000


@dataclass(frozen=True)
class PushedVersion:
    """Where a model is served from."""

    version: int
    path: str
    is_new: bool
    """False if the newest version was this very model already, so that nothing was copied."""


@dataclass(frozen=True)
class ModelFacts:
    """What the manifest says besides what the model's files tell by themselves."""

    name: str
    run_id: str
    class_table: ClassTable
    code_fingerprint: str
    verdict: Mapping[str, Any]
    """The Evaluator's verdict.json: metrics and the data's fingerprint."""


def push_version(
    serving_root: str,
    model_dir: str,
    facts: ModelFacts,
    statistics_file: str | None = None,
    formats: FormatMaker | None = None,
) -> PushedVersion:
    """Copies a model into the serving root as its next version.

    Pushes at the same time get distinct numbers: a number is taken by a rename, in an object store by a
    conditional write, and the loser tries the next. A number that was pushed once is not used again, even
    if its folder was removed since.

    Args:
        serving_root: the folder of the versions, or an address in an object store; made if need be.
        model_dir: the SavedModel's folder, on this machine.
        facts: for the manifest.
        statistics_file: FeatureStats.pb of the train split, kept beside the model.
        formats: makes the network's files in other formats.

    Raises:
        RefusedError: a format cannot be made, or its network says something else; or the disk has less room
            than the model takes; nothing was written.
        OSError: the disk is full after all, the store cannot be reached, or the like; no version is left
            behind.
    """
    fingerprint, inference = fingerprint_model(model_dir), read_inference(model_dir)
    store = open_versions(serving_root)
    store.remove_stale()
    wanted = {str(name): str(weights) for name, weights in formats.wanted.items()} if formats else {}
    if served := _served_already(serving_root, fingerprint, wanted):  # Before converting and copying.
        if served.version not in dict(store.read_push_log()):  # Whoever placed it died before this.
            store.log_push(served.version, fingerprint)
        return served
    with TemporaryDirectory(prefix="formats_") as folder:
        made = formats.make(model_dir, Path(folder)) if formats else {}
        refuse_small_disk(serving_root, _count_bytes(model_dir) + _count_bytes(folder), "the model's files")
        with store.stage() as staged:
            staged.copy_tree(model_dir)
            for entry in made.values():
                staged.copy_file(str(Path(folder, entry.file)), entry.file)
            if statistics_file:
                staged.copy_file(statistics_file, STATISTICS_FILE)
            files = staged.hash_files()
            if fingerprint_files(files) != fingerprint:
                raise OSError(f"{model_dir} changed while it was copied, or the copy is damaged; not pushed")
            return _place(
                serving_root,
                store,
                staged,
                lambda version: _write_manifest(version, fingerprint, inference, files, facts, made),
            )


def _count_bytes(folder: str) -> int:
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def _served_already(serving_root: str, fingerprint: str, wanted: Mapping[str, str]) -> PushedVersion | None:
    """Returns the newest version if it is this very model, in all the formats that are wanted."""
    version = newest_version(serving_root)
    if version is None:
        return None
    path = version_path(serving_root, version)
    try:
        manifest = read_manifest(path)
        is_same = (
            manifest.model_fingerprint == fingerprint
            and wanted.items() <= _weights(manifest).items()
            and not verify_files(path)
        )
    except RefusedError:  # A damaged version must not stand in the way of a good one.
        return None
    return PushedVersion(version, path, is_new=False) if is_same else None


def _weights(manifest: Manifest) -> dict[str, str]:
    """Returns the type of the weights of each format."""
    return {name: entry.weights for name, entry in manifest.formats.items()}


def _place(
    serving_root: str,
    store: VersionStore,
    staged: StagedVersion,
    write_manifest: Callable[[int], Manifest],
) -> PushedVersion:
    refused: list[int] = []
    for _ in range(_MAX_ATTEMPTS):
        version = max([*store.list_used(), *refused], default=0) + 1
        manifest = write_manifest(version)
        # After choosing the number: whoever pushes this model meanwhile either shows here or takes it.
        if served := _served_already(serving_root, manifest.model_fingerprint, _weights(manifest)):
            return served
        staged.write_file(MANIFEST_FILE, manifest.to_bytes())
        if staged.place(version):
            store.log_push(version, manifest.model_fingerprint)
            return PushedVersion(version, store.path(version), is_new=True)
        refused.append(version)
    raise RuntimeError(f"no free version number in {serving_root}")


def _write_manifest(
    version: int,
    model_fingerprint: str,
    inference: InferenceConfig,
    files: Mapping[str, str],
    facts: ModelFacts,
    formats: Mapping[str, ManifestFormat],
) -> Manifest:
    verdict = facts.verdict
    return Manifest(
        name=facts.name,
        version=version,
        run_id=facts.run_id,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        classes=tuple(
            ManifestClass(id=c.id, name=c.name, colour=c.colour) for c in facts.class_table.classes
        ),
        ignore_id=facts.class_table.ignore_id,
        inference=inference,
        metrics={split: ManifestMetrics(**metrics) for split, metrics in verdict.get("metrics", {}).items()},
        data_fingerprint=verdict.get("data_fingerprint") or "",
        code_fingerprint=facts.code_fingerprint,
        model_fingerprint=model_fingerprint,
        files=dict(files),
        formats=dict(formats),
        stack=_stack_versions(),
    )


def _stack_versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in _STACK:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def find_vanished(serving_root: str, model_dir: str) -> str:
    """Says which versions of this very model were pushed once and are gone since.

    It is the part of the outside world that decides whether an earlier push still stands, and so part
    of the Pusher's cache key: it is the same before a push and after it, and changes when somebody
    removes the version.
    """
    store = open_versions(serving_root)
    there = set(store.list_versions())
    pushes = store.read_push_log()
    if not any(version not in there for version, _ in pushes):
        return ""
    fingerprint = fingerprint_model(model_dir)
    gone = sorted({version for version, pushed in pushes if pushed == fingerprint and version not in there})
    return ",".join(str(version) for version in gone)
