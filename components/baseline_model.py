"""BaselineModel: which pushed version the new model is compared with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging
from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, standard_artifacts
from tfx.types import standard_component_specs as keys
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.utils import path_utils

from components.baseline_reference import BaselineReference, find_baseline
from components.content_driver import ContentDriver
from data.classes import ClassTable

BASELINE_KEY = "baseline_uri"
_FOUND_KEY = "found"


def _look(
    inputs: Mapping[str, Sequence[types.Artifact]], exec_properties: Mapping[str, Any]
) -> BaselineReference:
    model = artifact_utils.get_single_instance(list(inputs[keys.MODEL_KEY]))
    return find_baseline(
        exec_properties["serving_root"],
        path_utils.serving_model_path(model.uri),
        ClassTable.from_json(json.loads(exec_properties["class_table"])),
    )


class Driver(ContentDriver):
    """Looks before the cache does: the same baseline is the same output artifact."""

    def find(
        self, inputs: Mapping[str, Sequence[types.Artifact]], exec_properties: Mapping[str, Any]
    ) -> dict[str, str]:
        """Returns the baseline's string."""
        return {_FOUND_KEY: _look(inputs, exec_properties).to_value()}


class Executor(base_executor.BaseExecutor):
    """Hands on what the driver found, or looks itself where no driver runs."""

    def Do(  # noqa: N802
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the baseline's string as the value of ``baseline_uri``.

        Raises:
            RefusedError: the manifest of a version that has to be looked at is damaged.
        """
        found = exec_properties.get(_FOUND_KEY)
        baseline = (
            _look(input_dict, exec_properties) if found is None else BaselineReference.from_value(found)
        )
        logging.info("Baseline: %s", baseline.path or baseline.reason)
        artifact_utils.get_single_instance(output_dict[BASELINE_KEY]).value = baseline.to_value()


class BaselineModelSpec(ComponentSpec):
    """Inputs, outputs and execution properties of BaselineModel."""

    PARAMETERS = {  # noqa: RUF012
        "serving_root": ExecutionParameter(type=str),
        "class_table": ExecutionParameter(type=str),
        _FOUND_KEY: ExecutionParameter(type=str, optional=True),
    }
    INPUTS = {keys.MODEL_KEY: ChannelParameter(type=standard_artifacts.Model)}  # noqa: RUF012
    OUTPUTS = {BASELINE_KEY: ChannelParameter(type=standard_artifacts.String)}  # noqa: RUF012


class BaselineModel(base_component.BaseComponent):
    """Finds the newest pushed version that is not the new model itself.

    Output ``baseline_uri``: a String, see ``components.baseline_reference``; empty if there is none.
    """

    SPEC_CLASS = BaselineModelSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
    DRIVER_CLASS = Driver

    def __init__(self, model: types.BaseChannel, serving_root: str, class_table: ClassTable) -> None:
        """Makes the component.

        Args:
            model: the new model.
            serving_root: the folder of the pushed versions; it need not be there.
            class_table: the new model's classes; a version with others is no baseline.
        """
        super().__init__(
            spec=BaselineModelSpec(
                model=model,
                serving_root=serving_root,
                class_table=json.dumps(class_table.to_json(), sort_keys=True),
                baseline_uri=types.Channel(type=standard_artifacts.String),
            )
        )
