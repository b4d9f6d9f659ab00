"""One step of a cluster's run: what its executor gets, its execution, and its record. Imports TFX."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absl import logging as absl_logging
from tfx.utils import import_utils

from data import progress
from pipeline.cluster.complete_page import complete_page
from pipeline.cluster.find_component import build_execution_type, find_component, make_driver
from pipeline.cluster.prepare_properties import expand_properties, merge_overrides
from pipeline.cluster.read_arguments import StepArguments
from pipeline.cluster.run_executor import read_invocation, run_executor, write_output
from pipeline.cluster.step_clock import WORK, StepClock
from pipeline.cluster.step_recorder import StepRecorder


def run_step(step: StepArguments, clock: StepClock) -> None:
    """Runs a step.

    Args:
        step: its command line.
        clock: told what of the time is the component's own work.

    Raises:
        RefusedError: if the configuration, the data or a gate is refused; or the metadata store does not
            answer before the executor started.
        Exception: what the executor raises.
    """
    absl_logging.set_verbosity(absl_logging.INFO)
    executor_class = import_utils.import_class_by_path(step.executor_class_path)
    invocation = read_invocation(step.executor_input, step.inputs_spec)
    component = find_component(executor_class)
    recorder = StepRecorder(step, invocation, build_execution_type(executor_class, component))
    try:
        properties = merge_overrides(invocation.properties, step.overrides)
        recorder.start(properties)
        with clock.lap(WORK), tempfile.TemporaryDirectory(prefix="deconvflow_") as scratch:
            properties = expand_properties(properties, Path(scratch))
            if driver := make_driver(component):
                properties = {**properties, **driver.find(invocation.inputs, properties)}
            _prepare_devices(properties)
            with progress.current().stage(step.node_id):
                run_executor(executor_class, invocation, properties, step.beam_args, recorder.run_id)
        write_output(invocation)
    except BaseException as error:
        recorder.fail(error)
        raise
    recorder.finish()
    if recorder.address is not None:
        complete_page(invocation, recorder.address, recorder.run_id)


def _prepare_devices(properties: Mapping[str, Any]) -> None:
    """Divides the CPU for the Trainer: TensorFlow does so only before the first operation of the process."""
    try:
        devices = json.loads(json.loads(properties["custom_config"])["config"])["trainer"]["devices"]
    except (KeyError, TypeError, ValueError):
        return
    if isinstance(devices, int) and devices > 1:
        from trainer.distribution import set_logical_cpus

        set_logical_cpus(devices)
