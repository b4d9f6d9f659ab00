"""The manifest of a pushed version: what the model is, where it came from, and its files' hashes.

Imports neither TFX nor TensorFlow. The file is ``manifest.json`` in the version's folder.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from components import version_store
from components.config import WeightsType
from components.version_store import list_versions, version_path
from data.classes import ClassTable, SegmentationClass
from data.config import MAX_CLASSES, Colour, FrozenModel
from data.errors import Problem, RefusedError
from data.object_store import StoreError
from data.pushed_files import (
    MANIFEST_FILE,
    STATISTICS_FILE,
    FileHashes,
    Sha256,
    check_table,
    explain_damage,
    find_changes,
    fingerprint_files,
    refuse_repeated_keys,
)
from trainer.inference_config import InferenceConfig

_MAX_MANIFEST_BYTES = 50_000_000

Share = Annotated[float, Field(ge=0, le=1)]


class ManifestClass(FrozenModel):
    """One row of the class table."""

    id: int = Field(ge=0, le=255)
    name: str = Field(min_length=1, max_length=100)
    colour: Colour


class ManifestMetrics(FrozenModel):
    """The metrics of one split; null where a class does not occur."""

    pixel_accuracy: Share | None
    mean_class_accuracy: Share | None
    mean_iou: Share | None
    frequency_weighted_iou: Share | None
    iou: dict[str, Share | None]


class ManifestTensor(FrozenModel):
    """The input or the output of a network."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    axes: tuple[str, ...]
    meaning: str


class ManifestAgreement(FrozenModel):
    """How far a format's network agreed with the SavedModel's before the push."""

    images: int = Field(ge=1)
    pixels: int = Field(ge=1)
    class_agreement: Share
    """The share of pixels that both gave the same class."""
    largest_logit: float
    largest_difference: float
    """Between two logits."""
    tolerance: float
    """So much of the largest logit (of 1 where all are smaller) the difference may be."""


class ManifestFormat(FrozenModel):
    """The network in one format, without pre- and postprocessing, flips, scales or windows."""

    file: str
    weights: WeightsType
    input: ManifestTensor
    output: ManifestTensor
    padding: tuple[float, float, float]
    """RGB. An image of another shape than the input's is resized until it fits, put into the top left corner,
    and the rest gets this colour."""
    agreement: ManifestAgreement


class Manifest(FrozenModel):
    """Everything that manifest.json holds."""

    format: Literal[1] = 1
    """Of the manifest. A release that changes what a key means counts it up."""
    name: str = Field(min_length=1)
    """The pipeline's name."""
    version: int = Field(ge=0, lt=2**63)
    run_id: str
    created: str
    """When it was pushed: ISO 8601, UTC."""
    classes: tuple[ManifestClass, ...] = Field(min_length=1, max_length=MAX_CLASSES)
    ignore_id: int = Field(ge=0, le=255)
    inference: InferenceConfig = InferenceConfig()
    """Flips, scales and windows that are built into the model."""
    metrics: dict[str, ManifestMetrics]
    """By split."""
    data_fingerprint: str
    code_fingerprint: str
    model_fingerprint: Sha256
    files: FileHashes
    """SHA-256 of every other file of the version, by its path below the version's folder."""
    formats: dict[str, ManifestFormat] = Field(default_factory=dict)
    """The network in other formats, by their names."""
    stack: dict[str, str]
    """Versions of Python and of the packages that trained and evaluated the model."""

    @model_validator(mode="after")
    def _classes_are_a_table(self) -> Self:
        """Ids are the place in the table, as everywhere; a void id that is a class would paint it away."""
        if [entry.id for entry in self.classes] != list(range(len(self.classes))):
            raise ValueError(f"classes: their ids are not 0 to {len(self.classes) - 1} in order")
        if len({entry.name for entry in self.classes}) < len(self.classes):
            raise ValueError("classes: two have the same name")
        if self.ignore_id < len(self.classes):
            raise ValueError(f"ignore_id: {self.ignore_id} is the id of a class")
        return self

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
        refuse_repeated_keys(content)
        return Manifest.model_validate_json(content, strict=True)
    except FileNotFoundError:
        what = "is missing, so nobody knows what this version is"
    except OSError as error:
        what = f"cannot be read ({error.strerror or error})"
    except ValueError as error:
        what = f"is damaged: {explain_damage(error)}"
    remedy = f"Restore the file from a backup, or remove the folder {version_dir} to take the version back"
    raise RefusedError([Problem(where, what, remedy, "damaged_manifest")])


def newest_version(serving_root: str) -> int | None:
    """Returns the largest version number, or None without any version."""
    return max(list_versions(serving_root), default=None)


def verify_files(version_dir: str) -> list[Problem]:
    """Holds the files of a pushed version against its manifest.

    A file of this machine that did not change is read once a process, however often it is asked for.

    Returns:
        A problem for each file that is missing, has changed, or is not in the manifest though a loader
        would read it; or the one that the manifest's own hashes do not fit together. Other files that the
        manifest does not name (TF Serving's warm-up requests, say) are none.

    Raises:
        RefusedError: the manifest itself, or the store that it is in, cannot be read.
    """
    manifest = read_manifest(version_dir)
    if problems := check_table(version_dir, manifest.files, manifest.model_fingerprint):
        return problems
    try:
        present = version_store.list_files(version_dir)
        return find_changes(version_dir, manifest.files, present, version_store.hash_file)
    except StoreError as error:
        raise RefusedError([error.problem]) from error


def refuse_changed(version_dir: str) -> None:
    """Refuses a version whose files are not what was pushed.

    Raises:
        RefusedError: with a problem for each file, see ``verify_files``.
    """
    if problems := verify_files(version_dir):
        raise RefusedError(problems)


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
    return fingerprint_files(hashes)


def hash_files(folder: str, paths: Iterable[str]) -> dict[str, str]:
    """Returns the SHA-256 of files below a folder, by their path."""
    return {path: version_store.hash_file(folder, path) for path in paths}


__all__ = [
    "MANIFEST_FILE",
    "STATISTICS_FILE",
    "Manifest",
    "ManifestAgreement",
    "ManifestClass",
    "ManifestFormat",
    "ManifestMetrics",
    "ManifestTensor",
    "fingerprint_model",
    "hash_files",
    "list_versions",
    "newest_version",
    "read_manifest",
    "refuse_changed",
    "verify_files",
    "version_path",
]
