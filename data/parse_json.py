"""Reads JSON that somebody else may have written."""

from __future__ import annotations

import json
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """Returns the document of a JSON text, as ``json.loads``.

    Raises:
        ValueError: it is none, or nested deeper than Python follows; json.loads raises a RecursionError then.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("is nested too deep") from None
