"""Imports TFX without what takes seconds and is not needed."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

_VALIDATOR = "kubernetes_validate"


@contextlib.contextmanager
def without_validator() -> Iterator[None]:
    """Keeps Kubernetes' client from importing an optional package of the tests, which takes it seconds.

    TFX imports that client with its components.
    """
    absent = _VALIDATOR not in sys.modules
    if absent:
        sys.modules[_VALIDATOR] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if absent:
            del sys.modules[_VALIDATOR]
