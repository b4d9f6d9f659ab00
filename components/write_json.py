"""JSON files that are there whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from data.replace_file import replace_file


def write_json(path: Path, document: Any) -> None:
    """Writes a document, all of it or nothing.

    Args:
        path: the file; its folder is made if need be.
        document: what ``json.dumps`` takes, without nan or infinity.

    Raises:
        ValueError: the document holds nan or infinity, which JSON has not.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, json.dumps(document, indent=2, allow_nan=False) + "\n")
