"""Runs steps in children of a process that has imported TFX already, as a program: a JSON line each way.

A container of its own imports TFX for ten seconds, and thirteen of them would be most of a test. The
children have a command line and an environment of their own; the process runs as their user already.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from collections.abc import Mapping
from typing import Any

MODULE = "pipeline.cluster.entrypoint"


def run_child(job: Mapping[str, Any]) -> int:
    """Becomes the container; returns the exit status."""
    descriptor = os.open(job["log"], os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.chdir(job["cwd"])
    os.environ.clear()
    os.environ.update(job["environment"])
    assert job["command"][:3] == ["python", "-m", MODULE], job["command"][:3]
    sys.argv = [MODULE, *job["command"][3:]]
    from pipeline.cluster.entrypoint import main

    return main()


def serve() -> None:
    """Answers every line of stdin with the status of the step that it describes."""
    # Whatever libraries print while they are imported is no answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for name in ("tfx.components", "pipeline.cluster.run_step"):
        importlib.import_module(name)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            status = 70
            try:
                status = run_child(json.loads(line))
            except BaseException:
                traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)


if __name__ == "__main__":
    serve()
