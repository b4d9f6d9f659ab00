"""The command line of a step of a compiled pipeline."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from data.errors import Problem, RefusedError

RUN_VARIABLE = "DECONVFLOW_RUN_ID"

_REQUIRED = ("executor_class_path", "json_serialized_invocation_args", "node_id", "pipeline_name")
_OPTIONAL = ("json_serialized_inputs_spec_args", "run_id", "pipeline_root", "configuration")


@dataclass(frozen=True)
class StepArguments:
    """A step's command line; what it does not know is Beam's."""

    executor_class_path: str
    executor_input: str
    inputs_spec: str | None
    node_id: str
    pipeline_name: str
    run_id: str | None
    configuration: str | None
    overrides: tuple[str, ...]
    beam_args: tuple[str, ...]


def read_arguments(arguments: Sequence[str]) -> StepArguments:
    """Reads a step's command line.

    Raises:
        RefusedError: if something is missing.
    """
    parser = argparse.ArgumentParser(
        prog="pipeline.cluster.entrypoint", allow_abbrev=False, exit_on_error=False
    )
    for name in _REQUIRED:
        parser.add_argument(f"--{name}", default="")
    for name in _OPTIONAL:
        parser.add_argument(f"--{name}")
    parser.add_argument("--override", action="append", default=[])
    try:
        known, rest = parser.parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise _refuse(str(error)) from None
    for name in _REQUIRED:
        if not getattr(known, name):
            raise _refuse(f"--{name} is missing")
    return StepArguments(
        executor_class_path=known.executor_class_path,
        executor_input=known.json_serialized_invocation_args,
        inputs_spec=known.json_serialized_inputs_spec_args,
        node_id=known.node_id,
        pipeline_name=known.pipeline_name,
        run_id=_find_run_id(known.run_id),
        configuration=known.configuration,
        overrides=tuple(known.override),
        beam_args=tuple(rest),
    )


def _find_run_id(given: str | None) -> str | None:
    """Returns the run's id; None if neither the arguments nor the environment has it."""
    for value in (given, os.environ.get(RUN_VARIABLE)):
        # What nobody replaced is no id: $(DECONVFLOW_RUN_ID), {{$.pipeline_job_uuid}}.
        if value and not re.search(r"\$\(|\{\{", value):
            return value
    return None


def _refuse(what: str) -> RefusedError:
    remedy = "Compile the pipeline again with `deconvflow kubeflow compile`"
    return RefusedError([Problem("the step's command line", what, remedy, "bad_step")])
