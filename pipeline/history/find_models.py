"""Pushed models: which there are, and which one is meant by a path, NAME/VERSION or a version."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path

from ml_metadata import MetadataStore, errors
from ml_metadata.proto import metadata_store_pb2 as pb

from components.manifest import MANIFEST_FILE, Manifest, read_manifest
from data.errors import Problem, RefusedError
from data.open_files import exists, join_path

PUSHED_TYPE = "PushedModel"


@dataclass(frozen=True)
class PushedVersion:
    """A version as the store knows it."""

    name: str
    version: int
    path: str
    artifact_id: int

    @property
    def label(self) -> str:
        """NAME/VERSION."""
        return f"{self.name}/{self.version}"

    @property
    def is_served(self) -> bool:
        """Whether the version is still in its folder."""
        try:
            return exists(join_path(self.path, MANIFEST_FILE))
        except (OSError, RefusedError):
            return False


def list_pushed(store: MetadataStore) -> list[PushedVersion]:
    """Returns every pushed version once, as its first push recorded it.

    A model that is pushed again while it is the newest version leaves a second artifact of that version.
    """
    found: dict[str, PushedVersion] = {}
    for artifact in sorted(get_artifacts_by_type(store, PUSHED_TYPE), key=lambda one: one.id):
        pushed = read_pushed(artifact)
        if pushed is not None:
            found.setdefault(pushed.path, pushed)
    return list(found.values())


def read_pushed(artifact: pb.Artifact) -> PushedVersion | None:
    """Returns the version that a PushedModel artifact stands for; None if nothing was pushed."""
    properties = artifact.custom_properties
    if not properties["pushed"].int_value:
        return None
    path = properties["pushed_destination"].string_value.rstrip("/")
    version = properties["pushed_version"].string_value
    if not re.fullmatch(r"[0-9]{1,18}", version) or "/" not in path:
        return None
    return PushedVersion(path.split("/")[-2], int(version), path, artifact.id)


def get_artifacts_by_type(store: MetadataStore, type_name: str) -> list[pb.Artifact]:
    """Returns all artifacts of a type; none where the store does not know the type."""
    try:
        return list(store.get_artifacts_by_type(type_name))
    except errors.NotFoundError:
        return []


def find_model(
    pushed: Sequence[PushedVersion], text: str, run_ids: Container[str], copies: bool = True
) -> PushedVersion | None:
    """Returns the pushed model that is meant; None if no model is.

    Args:
        pushed: all versions.
        text: the path of a version, here or copied elsewhere with its manifest, ``NAME/VERSION``, or a
            version's number.
        run_ids: all runs of the store.
        copies: look for a copied version where ``text`` is the path of a folder.

    Raises:
        RefusedError: if several are meant, the manifest of a copy is damaged, or it is from another store.
    """
    if match := re.fullmatch(r"(?:(.+)/)?(\d{1,9})", text):
        name, version = match[1], int(match[2])
        found = [one for one in pushed if one.version == version and name in (None, one.name)]
        if len(found) > 1:
            labels = ", ".join(one.label for one in found)
            what, remedy = f"may be any of {labels}", "Give NAME/VERSION, or the path of the version"
            raise RefusedError([Problem(f"model {text}", what, remedy, "ambiguous_model")])
        if found:
            return found[0]
    for one in pushed:
        if one.path in (text.rstrip("/"), resolve_path(text)):
            return one
    if copies and _is_version(text):
        return _find_by_manifest(pushed, Path(text), read_manifest(text), run_ids)
    return None


def resolve_path(text: str) -> str:
    """Returns the absolute path that a text stands for; the text itself where it cannot be a path."""
    try:
        return str(Path(text).resolve())
    except (OSError, ValueError):
        return text


def _is_version(text: str) -> bool:
    try:
        return (Path(text) / MANIFEST_FILE).is_file()
    except (OSError, ValueError):  # Too long for a path, or with characters that none has.
        return False


def _find_by_manifest(
    pushed: Sequence[PushedVersion], folder: Path, manifest: Manifest, run_ids: Container[str]
) -> PushedVersion:
    for one in pushed:
        if (one.name, one.version) == (manifest.name, manifest.version) and manifest.run_id in run_ids:
            return PushedVersion(one.name, one.version, str(folder), one.artifact_id)
    label = f"{manifest.name}/{manifest.version}"
    what = f"is {label}, pushed by run {manifest.run_id}, of which this store knows nothing"
    remedy = "Name the workspace that it was pushed from with --workspace"
    raise RefusedError([Problem(str(folder), what, remedy, "foreign_model")])
