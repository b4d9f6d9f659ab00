"""Keeps our command line from TFX, which takes it for its own. Imports nothing."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def hide_command_line() -> Iterator[None]:
    """Shows TFX a command line without arguments.

    Its Beam components give this process' own arguments to absl as soon as the pipeline has Beam
    arguments: absl would take our ``-v`` for its verbosity, and knows none of a cluster step's.
    """
    arguments = sys.argv
    sys.argv = arguments[:1]
    try:
        yield
    finally:
        sys.argv = arguments
