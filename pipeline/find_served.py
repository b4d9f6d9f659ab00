"""Which pushed version is meant by a pipeline's name, NAME/VERSION, a version or a path."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from components.fetch_version import fetch_version
from components.manifest import (
    MANIFEST_FILE,
    Manifest,
    list_versions,
    newest_version,
    read_manifest,
    refuse_changed,
    version_path,
)
from data.errors import Problem, RefusedError
from data.object_store import is_in_object_store
from pipeline.workspace import Workspace

_MANY = 5


@dataclass(frozen=True)
class ServedModel:
    """A pushed version in its folder, its files as they were pushed."""

    folder: Path
    manifest: Manifest

    @property
    def label(self) -> str:
        """NAME/VERSION."""
        return f"{self.manifest.name}/{self.manifest.version}"


def find_served(workspace: Workspace, text: str) -> ServedModel:
    """Returns the pushed version that is meant.

    Args:
        workspace: names and versions are looked for in its serving folder.
        text: a pipeline's name (its newest version), ``NAME/VERSION``, a version if only one pipeline has
            it, or the path or address of a version or of a folder of versions, anywhere. What lies in
            an object store is copied into the workspace first.

    Raises:
        RefusedError: if there is none or several are meant, its manifest is missing or damaged, or a file
            is not as it was pushed.
    """
    if address := _find_address(workspace, text):
        return _fetch(workspace, address)
    folders = list(_find_folders(workspace, text))
    if len(folders) > 1:
        labels = ", ".join(f"{folder.parent.name}/{folder.name}" for folder in folders)
        what, remedy = f"may be any of {labels}", "Give NAME/VERSION, or the path of the version"
        raise _refuse(text, what, remedy, "ambiguous_model")
    if not folders:
        raise _not_found(workspace, text)
    manifest = read_manifest(str(folders[0]))
    refuse_changed(str(folders[0]))
    return ServedModel(folders[0], manifest)


def _find_address(workspace: Workspace, text: str) -> str | None:
    """Returns the address of the version that is meant in an object store; None if none is."""
    address = text.rstrip("/")
    if not is_in_object_store(address):
        try:
            root = workspace.push_root_file.read_text(encoding="utf-8").strip()
        except OSError:
            return None
        if not is_in_object_store(root) or not re.fullmatch(r"[a-z0-9-]+(/\d{1,9})?", text):
            return None
        address = f"{root.rstrip('/')}/{text}"
    folder, _, version = address.rpartition("/")
    if re.fullmatch(r"\d{1,9}", version) and int(version) in list_versions(folder):
        return address
    newest = newest_version(address)
    return None if newest is None else version_path(address, newest)


def _fetch(workspace: Workspace, address: str) -> ServedModel:
    name, version = address.split("/")[-2:]
    if name in ("", ".", ".."):
        raise _refuse(
            address, "names no folder of versions", "Give s3://bucket/.../NAME/VERSION", "bad_model"
        )
    folder = fetch_version(address, workspace.fetched(name) / version)
    return ServedModel(folder, read_manifest(str(folder)))


def _find_folders(workspace: Workspace, text: str) -> Iterator[Path]:
    """Yields the folders that may be meant: what the workspace serves comes before paths."""
    served = _list_served(workspace)
    if text in served:
        yield workspace.own_serving(text) / str(served[text][-1])
        return
    if match := re.fullmatch(r"(?:(.+)/)?(\d{1,9})", text):
        name, version = match[1], int(match[2])
        found = [one for one, versions in served.items() if version in versions and name in (None, one)]
        if found:
            yield from (workspace.own_serving(one) / str(version) for one in found)
            return
    folder = Path(text)
    if not _can_be_path(folder):
        return
    newest = newest_version(text) if folder.is_dir() else None
    if folder.is_dir() and newest is not None and not (folder / MANIFEST_FILE).exists():
        yield folder / str(newest)
    elif (folder / MANIFEST_FILE).is_file() or (folder / "saved_model.pb").is_file():
        yield folder


def _can_be_path(path: Path) -> bool:
    """Says whether the system can look a path up: it may be too long, or hold a NUL."""
    try:
        path.lstat()
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False
    return True


def _list_served(workspace: Workspace) -> dict[str, tuple[int, ...]]:
    """Returns the versions of each pipeline that has any, by its name."""
    root = workspace.root / "serving"
    folders = sorted(root.iterdir()) if root.is_dir() else []
    served = {folder.name: list_versions(str(folder)) for folder in folders if folder.is_dir()}
    return {name: versions for name, versions in served.items() if versions}


def _not_found(workspace: Workspace, text: str) -> RefusedError:
    labels = [f"{name}/{versions[-1]}" for name, versions in _list_served(workspace).items()]
    if _can_be_path(Path(text)) and Path(text).exists():
        what = "is no pushed version: there is no manifest.json in it"
    else:
        what = f"was not pushed to {workspace.root / 'serving'}, and there is no such folder"
    if labels:
        known = ", ".join(labels[:_MANY]) + (", ..." if len(labels) > _MANY else "")
        remedy = f"There are {known}; or name another workspace with --workspace, or give a version's path"
    else:
        remedy = "Nothing was pushed there yet: `deconvflow run`, or name another workspace with --workspace"
    return _refuse(text, what, remedy, "no_model")


def _refuse(text: str, what: str, remedy: str, code: str) -> RefusedError:
    return RefusedError([Problem(f"model {text}", what, remedy, code)])
