"""Reads trained weights by name: Keras' weight files, and the SavedModels that ``trainer.export`` writes.

No code that came with a file is run: of a SavedModel only the checkpoint is opened, and of a pushed version's
only after its files were held against the manifest.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data.errors import Problem, RefusedError
from data.hash_file import hash_file
from data.open_files import is_remote, join_path, list_files, read_bytes
from data.pushed_files import MANIFEST_FILE, find_changes, hash_below, read_table

KEY = "trainer.model.weights"

_LOGGER = logging.getLogger(__name__)
_CHECKPOINT = "variables/variables"
_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"

Weights = Mapping[str, Any]
"""Arrays by ``layer/name`` of the weight, or by ``layer/index`` where a file has no names."""


def read_weights(path: str) -> Weights:
    """Reads all weights of a file or of a pushed version's folder, local or in an object store.

    Raises:
        RefusedError: there is no such thing, it cannot be read, or is not what was pushed.
    """
    try:
        with _on_this_machine(path, _list_parts(path)) as local:
            return _read_keras(local) if local.is_file() else _read_saved_model(local)
    except (OSError, KeyError, ValueError) as error:
        raise _refuse(path, f"cannot be read ({_first_line(error)})") from error


def fingerprint_weights(path: str) -> str:
    """Returns the SHA-256 over the content of a weight file or of a pushed version's weights.

    Raises:
        RefusedError: there is no such thing.
    """
    digest = hashlib.sha256()
    try:
        for part in _list_parts(path):
            digest.update(f"{part}\0{hash_file(join_path(path, part))}\n".encode())
    except OSError as error:
        raise _refuse(path, f"cannot be read ({_first_line(error)})") from error
    return digest.hexdigest()


def _list_parts(path: str) -> list[str]:
    """Returns the files that hold the weights: below a folder, or one empty name for a file itself."""
    if path.endswith(".h5"):
        if not is_remote(path) and not Path(path).is_file():
            raise _refuse(path, "is not there")
        return [""]
    try:
        files = list_files(path).files
    except RefusedError as error:
        raise _refuse(path, error.problems[0].what) from error
    parts = sorted(name for name in files if name.startswith(_CHECKPOINT))
    if not parts:
        raise _refuse(path, "holds no variables/, and so no pushed version")
    return parts


@contextmanager
def _on_this_machine(path: str, parts: list[str]) -> Iterator[Path]:
    """Yields the path, or that of a copy for now if it is in an object store; its parts are verified."""
    hashes = _read_hashes(path) if parts != [""] else None
    if not is_remote(path):
        _verify(path, hashes, parts, hash_below)
        yield Path(path)
        return
    with tempfile.TemporaryDirectory(prefix="weights_") as folder:
        copy = Path(folder) / path.rstrip("/").rsplit("/", 1)[-1]
        for part in parts:
            target = copy / part
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(read_bytes(join_path(path, part)))
        _verify(path, hashes, parts, lambda _, part: hash_below(str(copy), part))
        yield copy


def _read_hashes(folder: str) -> dict[str, str] | None:
    """Returns the hashes of a pushed version's files; None for a SavedModel that was not pushed."""
    try:
        content = read_bytes(join_path(folder, MANIFEST_FILE))
    except FileNotFoundError:
        _LOGGER.warning("%s has no %s: nobody knows whether its weights are whole.", folder, MANIFEST_FILE)
        return None
    return read_table(folder, content)


def _verify(
    folder: str, hashes: Mapping[str, str] | None, parts: list[str], hash_one: Callable[[str, str], str]
) -> None:
    """Refuses weights that are not what the manifest says."""
    if hashes is None:
        return
    wanted = {path: digest for path, digest in hashes.items() if path.startswith(_CHECKPOINT)}
    if problems := find_changes(folder, wanted, parts, hash_one):
        raise RefusedError(problems)


def _read_keras(path: Path) -> Weights:
    import h5py

    with h5py.File(path, "r") as file:
        if "layer_names" in file.attrs:
            return _read_legacy(file)
        found: dict[str, Any] = {}

        def visit(_: str, entry: Any) -> None:
            # Keras writes the layer's name beside its variables, which are numbered.
            if isinstance(entry, h5py.Group) and "name" in entry.attrs:
                found.update({f"{entry.attrs['name']}/{name}": _read_array(entry, name) for name in entry})

        file.visititems(visit)
        return found


def _read_legacy(file: Any) -> Weights:
    """Reads the format of Keras 2, which keras.applications' own files have."""
    found = {}
    for layer in (_decode(name) for name in file.attrs["layer_names"]):
        for index, name in enumerate(file[layer].attrs["weight_names"]):
            found[f"{layer}/{index}"] = _read_array(file, f"{layer}/{_decode(name)}")
    return found


def _read_array(group: Any, name: str) -> Any:
    """Returns an array that lies in the file itself; HDF5 can also point to other files of the machine."""
    import h5py

    entry = group[name]
    is_own = entry.file.filename == group.file.filename
    if not (is_own and isinstance(entry, h5py.Dataset)) or entry.external or entry.is_virtual:
        raise ValueError(f"{name} is no array of its own")
    return entry[()]


def _read_saved_model(folder: Path) -> Weights:
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(folder / _CHECKPOINT))
    found = {}
    for key in reader.get_variable_to_shape_map():
        if key.startswith("weights/") and key.endswith(_SUFFIX):
            # As TensorFlow escapes it.
            path = key.removeprefix("weights/").removesuffix(_SUFFIX).replace(".S", "/").replace("..", ".")
            found[path] = reader.get_tensor(key)
    if not found or any(path.isdigit() for path in found):
        raise ValueError("an earlier release wrote it, without the names of its weights")
    return found


def _decode(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _refuse(path: str, what: str) -> RefusedError:
    remedy = (
        "Name a Keras .weights.h5 file or the folder of a pushed version (workspace/serving/NAME/VERSION), "
        "or set weights: none"
    )
    return RefusedError([Problem(KEY, f"is {path}, which {what}", remedy, "unreadable_weights")])
