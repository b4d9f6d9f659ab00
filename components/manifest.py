"""The manifest of a pushed version: what the model is, where it came from, and its files' hashes.

Imports neither TFX nor TensorFlow. The file is ``manifest.json`` in the version's folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Annotated

from pydantic import Field, ValidationError, field_validator

from components import version_store
from components.version_store import list_versions, version_path
from data.classes import ClassTable, SegmentationClass
from data.config import Colour, FrozenModel
from data.errors import Problem, RefusedError
from data.object_store import StoreError
from data.open_files import is_safe_below
from trainer.inference_config import InferenceConfig

MANIFEST_FILE = "manifest.json"
STATISTICS_FILE = "statistics/FeatureStats.pb"
"""Statistics of the train split that the model was trained on, as StatisticsGen writes them."""

_MAX_MANIFEST_BYTES = 50_000_000
_NOT_THE_MODEL = frozenset({MANIFEST_FILE, STATISTICS_FILE, "fingerprint.pb"})
"""fingerprint.pb is left out because TensorFlow draws a new random id for it at every export."""

Share = Annotated[float, Field(ge=0, le=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ManifestClass(FrozenModel):
    """One row of the class table."""

    id: int = Field(ge=0, le=255)
    name: str
    colour: Colour


class ManifestMetrics(FrozenModel):
    """The metrics of one split; null where a class does not occur."""

    pixel_accuracy: Share | None
    mean_class_accuracy: Share | None
    mean_iou: Share | None
    frequency_weighted_iou: Share | None
    iou: dict[str, Share | None]


class Manifest(FrozenModel):
    """Everything that manifest.json holds."""

    name: str = Field(min_length=1)
    """The pipeline's name."""
    version: int = Field(ge=0)
    run_id: str
    created: str
    """When it was pushed: ISO 8601, UTC."""
    classes: tuple[ManifestClass, ...] = Field(min_length=1)
    ignore_id: int = Field(ge=0, le=255)
    inference: InferenceConfig = InferenceConfig()
    """Flips, scales and windows that are built into the model."""
    metrics: dict[str, ManifestMetrics]
    """By split."""
    data_fingerprint: str
    code_fingerprint: str
    model_fingerprint: Sha256
    files: dict[str, Sha256]
    """SHA-256 of every other file of the version, by its path below the version's folder."""
    stack: dict[str, str]
    """Versions of Python and of the packages that trained and evaluated the model."""

    @field_validator("files")
    @classmethod
    def _files_stay_below(cls, files: Mapping[str, str]) -> Mapping[str, str]:
        if escaping := [path for path in files if not is_safe_below(path)]:
            raise ValueError(f"{escaping[0]} leads out of the version's folder")
        return files

    def class_table(self) -> ClassTable:
        """Returns the class table."""
        rows = tuple(SegmentationClass(entry.id, entry.name, entry.colour) for entry in self.classes)
        return ClassTable(rows, self.ignore_id)

    def to_bytes(self) -> bytes:
        """Returns the file's content."""
        return (self.model_dump_json(indent=2) + "\n").encode()


def read_manifest(version_dir: str) -> Manifest:
    """Reads and validates the manifest of a pushed version.

    Raises:
        RefusedError: it is missing, damaged, or of another format.
    """
    where = f"{version_dir}/{MANIFEST_FILE}"
    try:
        content = version_store.read_file(version_dir, MANIFEST_FILE, _MAX_MANIFEST_BYTES)
        return Manifest.model_validate_json(content, strict=True)
    except FileNotFoundError:
        what = "is missing, so nobody knows what this version is"
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        what = f"is damaged: {place + ': ' if place else ''}{first['msg']}"
    except ValueError as error:
        what = f"is damaged: it {error}"
    remedy = f"Restore the file from a backup, or remove the folder {version_dir} to take the version back"
    raise RefusedError([Problem(where, what, remedy, "damaged_manifest")])


def newest_version(serving_root: str) -> int | None:
    """Returns the largest version number, or None without any version."""
    return max(list_versions(serving_root), default=None)


def verify_files(version_dir: str) -> list[Problem]:
    """Holds the files of a pushed version against the hashes in its manifest.

    Returns:
        A problem for each file that is missing or has changed. Files that the manifest does not name
        (TF Serving's warm-up requests, say) are none.

    Raises:
        RefusedError: the manifest itself, or the store that it is in, cannot be read.
    """
    problems = []
    remedy = f"Push the model again, and remove {version_dir}"
    for path, expected in sorted(read_manifest(version_dir).files.items()):
        where = f"{version_dir}/{path}"
        try:
            actual = version_store.hash_file(version_dir, path)
        except StoreError as error:
            raise RefusedError([error.problem]) from error
        except OSError:
            problems.append(Problem(where, "is missing from the pushed version", remedy, "missing_file"))
            continue
        if actual != expected:
            problems.append(Problem(where, "has changed since it was pushed", remedy, "changed_file"))
    return problems


def fingerprint_model(model_dir: str) -> str:
    """Returns the SHA-256 that says which model this is, the same before and after its push.

    It covers the names and contents of all files but those that say nothing about the model.

    Args:
        model_dir: a SavedModel's folder: a pushed version, or the model artifact's inner folder.

    Raises:
        ValueError: there is no SavedModel.
    """
    hashes = hash_files(model_dir, version_store.list_files(model_dir))
    if "saved_model.pb" not in hashes:
        raise ValueError(f"{model_dir} holds no saved_model.pb")
    total = hashlib.sha256()
    for path, digest in sorted(hashes.items()):
        if path not in _NOT_THE_MODEL:
            total.update(f"{path}\0{digest}\n".encode())
    return total.hexdigest()


def hash_files(folder: str, paths: Iterable[str]) -> dict[str, str]:
    """Returns the SHA-256 of files below a folder, by their path."""
    return {path: version_store.hash_file(folder, path) for path in paths}


__all__ = [
    "MANIFEST_FILE",
    "STATISTICS_FILE",
    "Manifest",
    "ManifestClass",
    "ManifestMetrics",
    "fingerprint_model",
    "hash_files",
    "list_versions",
    "newest_version",
    "read_manifest",
    "verify_files",
    "version_path",
]
