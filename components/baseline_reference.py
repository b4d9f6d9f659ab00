"""Which pushed version a new model is compared with, as one string that follows content.

The string is an execution property of the Evaluator and so part of its cache key: besides the
version's path it holds the model's fingerprint, since a serving root can be deleted and its numbers
used again.
"""

from __future__ import annotations

from dataclasses import dataclass

from components.manifest import (
    fingerprint_model,
    list_versions,
    read_manifest,
    refuse_changed,
    version_path,
)
from data.classes import ClassTable
from data.open_files import is_remote

NO_VERSION = "no model has been pushed before"
_MODEL_MARK = "#model="
_NONE_MARK = "#none="


@dataclass(frozen=True)
class BaselineReference:
    """The baseline, or why there is none (``path`` is empty then)."""

    path: str = ""
    model_fingerprint: str = ""
    reason: str = NO_VERSION

    def to_value(self) -> str:
        """Returns ``<path>#model=<fingerprint>``, ``#none=<reason>``, or nothing before any push."""
        if self.path:
            return f"{self.path}{_MODEL_MARK}{self.model_fingerprint}"
        return "" if self.reason == NO_VERSION else f"{_NONE_MARK}{self.reason}"

    @staticmethod
    def from_value(value: str) -> BaselineReference:
        """Returns the reference that ``to_value`` described; a path alone will do."""
        if not value:
            return BaselineReference()
        if value.startswith(_NONE_MARK):
            return BaselineReference(reason=value.removeprefix(_NONE_MARK))
        path, _, fingerprint = value.rpartition(_MODEL_MARK) if _MODEL_MARK in value else (value, "", "")
        return BaselineReference(path, fingerprint, reason="")


def find_baseline(serving_root: str, model_dir: str, class_table: ClassTable) -> BaselineReference:
    """Finds the newest pushed version that is not the candidate itself.

    Leaving out the candidate keeps the Evaluator's cache key: right after a push the same run finds
    the same baseline as before it.

    Args:
        serving_root: the folder of the pushed versions.
        model_dir: the candidate's SavedModel.
        class_table: the candidate's classes. A version with other classes is no baseline: its
            confusion matrix counts other things.

    Raises:
        RefusedError: the manifest of a version that has to be looked at is damaged, or a file of the
            baseline is not what was pushed.
    """
    versions = list_versions(serving_root)
    if not versions:
        return BaselineReference()
    candidate = fingerprint_model(model_dir)
    for version in reversed(versions):
        path = version_path(serving_root, version)
        manifest = read_manifest(path)
        if manifest.model_fingerprint == candidate:
            continue
        if not _same_classes(manifest.class_table(), class_table):
            return BaselineReference(reason=f"the newest pushed version, {version}, has another class table")
        if not is_remote(path):  # Of what lies elsewhere, each file is hashed as it is fetched to be loaded.
            refuse_changed(path)
        return BaselineReference(path, manifest.model_fingerprint, reason="")
    return BaselineReference()


def _same_classes(first: ClassTable, second: ClassTable) -> bool:
    """Compares what ids mean; colours are for pictures only."""
    return first.names == second.names and first.ignore_id == second.ignore_id
