"""Fingerprints of our own source, so that an edited line is not hidden by a cache."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("data", "trainer", "components", "pipeline")
"""All of ours, in the order of a record's journey."""

_SOURCES = ("*.py",)
_SOURCES_AND_TEMPLATES = (*_SOURCES, "*.j2", "*.css", "*.js")


def fingerprint_code(packages: Iterable[str]) -> str:
    """Returns the SHA-256 over the Python and YAML sources of packages, by relative path.

    Args:
        packages: names of packages of ours (``data``), or of modules (``components.evaluator``).

    Raises:
        ModuleNotFoundError: if one does not exist.
    """
    digest = hashlib.sha256()
    for name in packages:
        for path, label in sorted(_find_files(name, _SOURCES), key=lambda pair: pair[1]):
            content = path.read_bytes()
            digest.update(f"{label}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()


def list_code(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Returns the SHA-256 of every source file and template of packages, by relative path.

    Raises:
        ModuleNotFoundError: if a package does not exist.
    """
    return {
        label: hashlib.sha256(path.read_bytes()).hexdigest()
        for name in packages
        for path, label in sorted(_find_files(name, _SOURCES_AND_TEMPLATES), key=lambda pair: pair[1])
    }


def _find_files(name: str, patterns: Iterable[str]) -> list[tuple[Path, str]]:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{name} has no source")
    origin = Path(spec.origin)
    if not spec.submodule_search_locations:
        return [(origin, name)]
    folder = origin.parent
    paths = (path for pattern in patterns for path in folder.rglob(pattern))
    return [(path, f"{name}/{path.relative_to(folder).as_posix()}") for path in paths]
