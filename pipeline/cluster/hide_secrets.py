"""Keeps what the environment holds in confidence out of logs and records."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

_SECRET_NAME = re.compile(r"PASSWORD|SECRET|TOKEN|ACCESS_KEY|API_KEY|CREDENTIAL|PRIVATE_KEY", re.IGNORECASE)
_MIN_CHARACTERS = 6
"""Less would blot out ordinary words."""
_MAX_FILE_BYTES = 100_000


def list_secrets(environment: Mapping[str, str] | None = None) -> list[str]:
    """Returns what may be written nowhere: values of telling names, and the content of files they name."""
    environment = os.environ if environment is None else environment
    found: set[str] = set()
    for name, value in environment.items():
        if not _SECRET_NAME.search(name):
            continue
        path = Path(value) if value.startswith("/") else None
        found.add(_read_short(path) if path is not None and path.is_file() else value)
    return sorted((text for text in found if len(text) >= _MIN_CHARACTERS), key=len, reverse=True)


def hide_secrets(text: str, environment: Mapping[str, str] | None = None) -> str:
    """Returns a text in which every secret is replaced by ``***``."""
    for secret in list_secrets(environment):
        text = text.replace(secret, "***")
    return text


def _read_short(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip() if path.stat().st_size <= _MAX_FILE_BYTES else ""
    except (OSError, UnicodeDecodeError):
        return ""
