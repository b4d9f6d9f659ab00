"""A small valid configuration to start from."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

_VALID: dict[str, Any] = {
    "name": "two-classes",
    "data": {
        "root": "images-and-masks",
        "classes": [{"id": 0, "name": "background"}, {"id": 1, "name": "thing"}],
    },
    "transform": {"height_px": 32, "width_px": 48},
}


@pytest.fixture
def tree() -> dict[str, Any]:
    """A configuration as YAML gives it."""
    return copy.deepcopy(_VALID)


@pytest.fixture
def write_yaml(tmp_path: Path) -> Callable[[Any], Path]:
    """Writes a tree (or text) as a YAML file and returns its path."""

    def write(content: Any) -> Path:
        path = tmp_path / "config.yaml"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return path

    return write
