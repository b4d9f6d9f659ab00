"""The table of hashes in a pushed version's manifest, and what of the version's files it does not bear out.

Files are looked at before TensorFlow opens any. What is fetched from an object store is hashed as it
arrives; a file of this machine could still be changed between the look and its use, by somebody who may
write there and so could write another manifest as well: hashes find damage and mix-ups, and sign nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from data.errors import Problem, RefusedError
from data.hash_file import hash_file
from data.object_store import StoreError
from data.open_files import is_safe_below

MANIFEST_FILE = "manifest.json"
STATISTICS_FILE = "statistics/FeatureStats.pb"
"""Statistics of the train split that the model was trained on, as StatisticsGen writes them."""
FORMAT_FILES = {"tflite": "model.tflite", "onnx": "model.onnx"}
"""The network in other formats than SavedModel; servers pass them over."""
NOT_THE_MODEL = frozenset({MANIFEST_FILE, STATISTICS_FILE, *FORMAT_FILES.values(), "fingerprint.pb"})
"""fingerprint.pb is left out because TensorFlow draws a new random id for it at every export."""

_READ_BY_LOADERS = ("saved_model.", "variables/", "assets/", "assets.extra/inference.json")
"""What a loader opens without being told by a file of the manifest."""
_MAX_FILES = 10_000

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _stay_below(files: dict[str, str]) -> dict[str, str]:
    if len(files) > _MAX_FILES:
        raise ValueError(f"names more than {_MAX_FILES:,} files")
    if escaping := [path for path in files if not is_safe_below(path)]:
        raise ValueError(f"{escaping[0]!r} leads out of the version's folder")
    return files


FileHashes = Annotated[dict[str, Sha256], AfterValidator(_stay_below)]
"""SHA-256 of files, by their path below the version's folder."""


class _Table(BaseModel):
    """The part of a manifest that says which files there are."""

    model_config = ConfigDict(frozen=True, strict=True)

    model_fingerprint: Sha256
    files: FileHashes


def fingerprint_files(hashes: Mapping[str, str]) -> str:
    """Returns the SHA-256 that says which model files are, by their hashes: that of names and contents.

    Args:
        hashes: SHA-256 of each file by its path; those that say nothing about the model are passed over.
    """
    total = hashlib.sha256()
    for path, digest in sorted(hashes.items()):
        if path not in NOT_THE_MODEL:
            total.update(f"{path}\0{digest}\n".encode())
    return total.hexdigest()


def hash_below(folder: str, path: str) -> str:
    """Returns the SHA-256 of a file below a folder of this machine.

    Raises:
        OSError: it cannot be read, or is a link that leads out of the folder.
    """
    root, file = os.path.realpath(folder), os.path.realpath(Path(folder, path))
    if not file.startswith(root.rstrip("/") + "/"):
        raise OSError(f"is a link out of the version's folder, to {file}")
    return hash_file(file)


def find_changes(
    folder: str,
    hashes: Mapping[str, str],
    present: Iterable[str] = (),
    hash_one: Callable[[str, str], str] = hash_below,
) -> list[Problem]:
    """Holds files against their hashes.

    Args:
        folder: of the version.
        hashes: what the files should be.
        present: which files there are; of those without a hash, the ones that loaders read are problems.
        hash_one: returns the hash of (folder, path).

    Returns:
        A problem for each file that is missing, has changed, or came from elsewhere.

    Raises:
        StoreError: the object store that they are in does not answer.
    """
    remedy = f"Restore the version from a backup, or remove {folder} and push the model again"
    problems = []
    for path, expected in sorted(hashes.items()):
        where = f"{folder}/{path}"
        try:
            if hash_one(folder, path) != expected:
                problems.append(Problem(where, "has changed since it was pushed", remedy, "changed_file"))
        except (FileNotFoundError, NotADirectoryError):
            problems.append(Problem(where, "is missing from the pushed version", remedy, "missing_file"))
        except StoreError:
            raise
        except OSError as error:
            what = error.strerror or str(error)
            problems.append(Problem(where, f"cannot be verified ({what})", remedy, "unverified_file"))
    for path in present:
        if path not in hashes and path.startswith(_READ_BY_LOADERS):
            what = "is not in the version's manifest, and a loader would read it"
            problems.append(Problem(f"{folder}/{path}", what, remedy, "foreign_file"))
    return problems


def check_table(folder: str, hashes: Mapping[str, str], model_fingerprint: str) -> list[Problem]:
    """Finds a manifest whose hashes are not those of the model that it says it is."""
    if fingerprint_files(hashes) == model_fingerprint:
        return []
    what = "was changed: the hashes of its files do not make up its model_fingerprint"
    remedy = f"Restore the version from a backup, or remove {folder} and push the model again"
    return [Problem(f"{folder}/{MANIFEST_FILE}", what, remedy, "damaged_manifest")]


def read_table(folder: str, content: bytes) -> dict[str, str]:
    """Returns the hashes in a manifest, for those who need nothing else of it.

    Args:
        folder: of the version, for the refusal.
        content: of manifest.json.

    Raises:
        RefusedError: it is damaged.
    """
    try:
        refuse_repeated_keys(content)
        table = _Table.model_validate_json(content)
    except ValueError as error:
        remedy = f"Restore the version from a backup, or remove {folder} and push the model again"
        what = f"is damaged: {explain_damage(error)}"
        raise RefusedError([Problem(f"{folder}/{MANIFEST_FILE}", what, remedy, "damaged_manifest")]) from None
    if problems := check_table(folder, table.files, table.model_fingerprint):
        raise RefusedError(problems)
    return table.files


def explain_damage(error: ValueError) -> str:
    """Returns what is wrong with a manifest, on one line."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return f"{place + ': ' if place else ''}{first['msg'].removeprefix('Value error, ')}"
    return f"it {error}"


def refuse_repeated_keys(content: bytes) -> None:
    """Refuses JSON that says the same key twice: readers differ in which of the two they take.

    Raises:
        ValueError: it does, or is no JSON.
    """

    def check(pairs: list[tuple[str, object]]) -> None:
        keys = [key for key, _ in pairs]
        if len(set(keys)) != len(keys):
            raise ValueError(f"holds {next(key for key in keys if keys.count(key) > 1)!r} twice")

    try:
        json.loads(content, object_pairs_hook=check)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError("holds no JSON") from error
