"""JSON files that are there whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def write_json(path: Path, document: Any) -> None:
    """Writes a document to a temporary name beside the path, then renames it.

    Args:
        path: the file; its folder is made if need be.
        document: what ``json.dumps`` takes, without nan or infinity.

    Raises:
        ValueError: the document holds nan or infinity, which JSON has not.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    temporary.replace(path)
