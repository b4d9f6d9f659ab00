"""Which of Beam's runners works on this machine. Imports no Beam."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

FN_API_RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
_LAST_WITHOUT_PRISM = (2, 60)


def choose_runner(beam_args: Sequence[str]) -> tuple[str, ...]:
    """Returns Beam's arguments with the local runner that needs no download, where Beam would take another.

    Without a runner's name, later Beams try Prism first, a program that they fetch from the network or
    build when a pipeline starts. An argument that names a runner stays, DirectRunner among them.
    """
    named = any(re.match(r"--runner(=|$)", argument) for argument in beam_args)
    if named or _read_version() <= _LAST_WITHOUT_PRISM:
        return tuple(beam_args)
    return (*beam_args, f"--runner={FN_API_RUNNER}")


def _read_version() -> tuple[int, ...]:
    """Returns the major and minor version of Beam; that without Prism where there is no Beam."""
    try:
        found = re.match(r"(\d+)\.(\d+)", version("apache-beam"))
    except PackageNotFoundError:
        found = None
    return (int(found[1]), int(found[2])) if found else _LAST_WITHOUT_PRISM
