"""Imports TFX without what takes seconds and is not needed."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator

_VALIDATOR = "kubernetes_validate"


@contextlib.contextmanager
def lean_imports() -> Iterator[None]:
    """Makes the imports inside cheaper, and the end of the process after them."""
    with _without_validator(), _without_collections():
        yield


@contextlib.contextmanager
def _without_validator() -> Iterator[None]:
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


@contextlib.contextmanager
def _without_collections() -> Iterator[None]:
    """Keeps the garbage collector from going through the million objects that importing TFX makes.

    It would do so again and again while they come, to find that modules are no garbage, and once more for
    two seconds when the process ends. So it waits, and leaves them alone for good.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
