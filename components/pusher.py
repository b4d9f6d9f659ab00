"""Pusher: TFX's, with versions that appear whole or not at all, and a manifest in each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from absl import logging
from tfx import types
from tfx.components.pusher import component as tfx_pusher_component
from tfx.components.pusher import executor as tfx_pusher
from tfx.dsl.components.base import base_component, executor_spec
from tfx.proto import pusher_pb2
from tfx.types import artifact_utils, standard_artifacts
from tfx.types import standard_component_specs as keys
from tfx.types.component_spec import ChannelParameter, ExecutionParameter
from tfx.utils import path_utils, proto_utils

from components.config import ExtraFormat, WeightsType
from components.content_driver import ContentDriver
from components.evaluator import VERDICT_FILE
from components.make_formats import FormatMaker
from components.manifest import MANIFEST_FILE, read_manifest
from components.push_version import ModelFacts, PushedVersion, find_vanished, push_version
from components.smoke_test_cases import read_examples
from components.write_json import write_json
from data.classes import ClassTable
from data.errors import RefusedError
from data.object_store import StoreError

_VANISHED_KEY = "vanished"


def _serving_root(exec_properties: Mapping[str, Any]) -> str:
    destination = pusher_pb2.PushDestination()
    proto_utils.json_to_proto(exec_properties[keys.PUSH_DESTINATION_KEY], destination)
    return str(destination.filesystem.base_directory)


class Driver(ContentDriver):
    """Lets the cache know when a version that was pushed has been removed."""

    def find(
        self, inputs: Mapping[str, Sequence[types.Artifact]], exec_properties: Mapping[str, Any]
    ) -> dict[str, str]:
        """Returns the versions of this model that are gone."""
        model = artifact_utils.get_single_instance(list(inputs[keys.MODEL_KEY]))
        model_dir = path_utils.serving_model_path(model.uri)
        return {_VANISHED_KEY: find_vanished(_serving_root(exec_properties), model_dir)}


class Executor(tfx_pusher.Executor):
    """Pushes a model that both blessings let pass; leaves everything as it is otherwise."""

    def Do(  # noqa: N802
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Pushes the model.

        Args:
            input_dict: model, model_blessing, infra_blessing, and optionally statistics, and examples where
                extra formats are wanted.
            output_dict: pushed_model, which gets TFX's properties ``pushed``, ``pushed_destination``
                and ``pushed_version``, and a copy of the manifest.
            exec_properties: push_destination and custom_config, see the component.

        Raises:
            RefusedError: the object store of the serving root does not take the model, or an extra format
                cannot be made of it.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        pushed_model = artifact_utils.get_single_instance(output_dict[keys.PUSHED_MODEL_KEY])
        if not self.CheckBlessing(input_dict):
            self._MarkNotPushed(pushed_model)
            return
        config = json.loads(exec_properties[keys.CUSTOM_CONFIG_KEY])
        facts, formats = self._collect_facts(input_dict, config), _plan_formats(input_dict, config)
        model_dir, statistics = self.GetModelPath(input_dict), _find_statistics(input_dict)
        try:
            pushed = push_version(_serving_root(exec_properties), model_dir, facts, statistics, formats)
        except StoreError as error:
            raise RefusedError([error.problem]) from error
        logging.info("Version %d %s", pushed.version, "pushed" if pushed.is_new else "is this model already")
        self._record(pushed_model, pushed)

    def _collect_facts(
        self, input_dict: Mapping[str, list[types.Artifact]], config: Mapping[str, Any]
    ) -> ModelFacts:
        blessing = artifact_utils.get_single_instance(input_dict[keys.MODEL_BLESSING_KEY])
        context = self._context
        return ModelFacts(
            name=config["name"],
            run_id=(context.pipeline_run_id if context else None) or "",
            class_table=ClassTable.from_json(config["class_table"]),
            code_fingerprint=config["code_fingerprint"],
            verdict=json.loads((Path(blessing.uri) / VERDICT_FILE).read_text(encoding="utf-8")),
        )

    def _record(self, pushed_model: types.Artifact, pushed: PushedVersion) -> None:
        manifest = read_manifest(pushed.path)
        write_json(Path(pushed_model.uri) / MANIFEST_FILE, manifest.model_dump(mode="json"))
        self._MarkPushed(pushed_model, pushed_destination=pushed.path, pushed_version=str(pushed.version))


def _find_statistics(input_dict: Mapping[str, list[types.Artifact]]) -> str | None:
    """Returns the train split's statistics, if StatisticsGen is wired."""
    for statistics in input_dict.get(keys.STATISTICS_KEY, []):
        path = Path(artifact_utils.get_split_uri([statistics], "train")) / "FeatureStats.pb"
        return str(path) if path.exists() else None
    return None


def _plan_formats(
    input_dict: Mapping[str, list[types.Artifact]], config: Mapping[str, Any]
) -> FormatMaker | None:
    """Returns what makes the extra formats, if any are wanted."""
    if "formats" not in config:
        return None
    examples = artifact_utils.get_single_instance(input_dict[keys.EXAMPLES_KEY])
    split_uri = artifact_utils.get_split_uri([examples], config["formats"]["split"])
    return FormatMaker(config["formats"]["wanted"], read_examples(split_uri, config["formats"]["images"]))


class PusherSpec(tfx_pusher_component.standard_component_specs.PusherSpec):
    """TFX's, with the statistics, examples to try other formats on, and what the driver finds."""

    PARAMETERS = {  # noqa: RUF012
        **tfx_pusher_component.standard_component_specs.PusherSpec.PARAMETERS,
        _VANISHED_KEY: ExecutionParameter(type=str, optional=True),
    }
    INPUTS = {  # noqa: RUF012
        **tfx_pusher_component.standard_component_specs.PusherSpec.INPUTS,
        keys.STATISTICS_KEY: ChannelParameter(type=standard_artifacts.ExampleStatistics, optional=True),
        keys.EXAMPLES_KEY: ChannelParameter(type=standard_artifacts.Examples, optional=True),
    }


@dataclass(frozen=True)
class ExtraFormats:
    """What the network is pushed as besides the SavedModel.

    Attributes:
        wanted: the type of the weights of each format.
        examples: raw examples, to try them on.
        split: of them.
        images: so many.
    """

    wanted: Mapping[ExtraFormat, WeightsType]
    examples: types.BaseChannel
    split: str
    images: int


class Pusher(base_component.BaseComponent):
    """Pushes a blessed model into the serving root as its next version.

    Output ``pushed_model``, as TFX's own.
    """

    SPEC_CLASS = PusherSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
    DRIVER_CLASS = Driver

    def __init__(
        self,
        model: types.BaseChannel,
        model_blessing: types.BaseChannel,
        infra_blessing: types.BaseChannel,
        serving_root: str,
        name: str,
        class_table: ClassTable,
        code_fingerprint: str,
        statistics: types.BaseChannel | None = None,
        formats: ExtraFormats | None = None,
    ) -> None:
        """Makes the component.

        Args:
            model: the exported model.
            model_blessing: the Evaluator's, with its verdict.json.
            infra_blessing: the smoke test's.
            serving_root: the folder of the versions, or an address in an object store.
            name: the pipeline's name, for the manifest.
            class_table: for the manifest.
            code_fingerprint: of our source, for the manifest.
            statistics: of the training data, for the drift check of later data.
            formats: what the network is pushed as besides the SavedModel.
        """
        config: dict[str, Any] = {
            "name": name,
            "class_table": class_table.to_json(),
            "code_fingerprint": code_fingerprint,
        }
        if formats:
            config["formats"] = {"wanted": formats.wanted, "split": formats.split, "images": formats.images}
        super().__init__(
            spec=PusherSpec(
                model=model,
                model_blessing=model_blessing,
                infra_blessing=infra_blessing,
                statistics=statistics,
                examples=formats.examples if formats else None,
                push_destination=pusher_pb2.PushDestination(
                    filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=serving_root)
                ),
                custom_config=json.dumps(config, sort_keys=True),
                pushed_model=types.Channel(type=standard_artifacts.PushedModel),
            )
        )
