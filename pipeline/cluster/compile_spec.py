"""Compiles the DAG for open-source Kubeflow Pipelines. Imports TFX."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format
from tfx.orchestration.kubeflow.v2.pipeline_builder import PipelineBuilder

from data.errors import Problem, RefusedError
from pipeline.cluster import mend_spec
from pipeline.cluster.artifact_schemas import own_schemas
from pipeline.cluster.check_places import ClusterPlaces, check_places
from pipeline.cluster.hand_over_training import hand_over_training
from pipeline.cluster.platform_document import build_platforms
from pipeline.cluster.prepare_properties import mark_code
from pipeline.cluster.runtime_parameters import RuntimeParameter, list_parameters
from pipeline.config import SAMPLE_SCHEME, PipelineConfig, config_json
from pipeline.dag import DatasetShape, create_pipeline, read_shape
from pipeline.store_address import StoreAddress, parse_address

SAMPLE_SHAPES = {"digits": DatasetShape(("contrast", "digits"), ("train", "val"))}
"""What the steps that come before the samples are written must know of them."""


@dataclass(frozen=True)
class CompiledPipeline:
    """The two documents of a compiled pipeline, as protobuf's JSON."""

    spec: dict[str, Any]
    platforms: dict[str, Any]
    parameters: tuple[RuntimeParameter, ...]

    def to_yaml(self) -> str:
        """Returns both documents; the same pipeline gives the same bytes."""
        inputs = "".join(f"#   {one.name}: {one.default!r}\n" for one in self.parameters)
        head = (
            "# Written by `deconvflow kubeflow compile`; change the configuration, not this file.\n"
            f"# Pipeline {self.spec['pipelineInfo']['name']}. Inputs of a run, and their defaults:\n{inputs}"
        )
        documents = (self.spec, self.platforms)
        body = yaml.dump_all(documents, Dumper=_Dumper, sort_keys=True, width=110, allow_unicode=True)
        return head + body


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and no references to what was written above."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def compile_pipeline(config: PipelineConfig) -> CompiledPipeline:
    """Compiles a configuration.

    Raises:
        RefusedError: if it names what no pod can reach, or the data set's shape is not known.
    """
    check_places(config)
    parameters = list_parameters(config)
    spec = _build(config, find_shape(config))
    store = _find_store(config)
    _mend(spec, config, parameters, store)
    labels = {node: spec["components"][node]["executorLabel"] for node in mend_spec.tasks_of(spec)}
    takes_password = store is not None and store.takes_password
    platforms = build_platforms(config.kubeflow, labels, mend_spec.RUN_ID_VARIABLE, takes_password)
    return CompiledPipeline(spec, platforms, parameters)


def find_shape(config: PipelineConfig) -> DatasetShape:
    """Returns what the DAG depends on of the data set: named in the configuration, or looked at.

    Raises:
        RefusedError: if it is not named, and the data set is out of reach.
    """
    data, kubeflow = config.data, config.kubeflow
    if data.root.startswith(SAMPLE_SCHEME):
        return SAMPLE_SHAPES[data.root.removeprefix(SAMPLE_SCHEME)]
    attributes = kubeflow.attributes if data.attributes is not None else ()
    if attributes is not None and kubeflow.has_validation is not None:
        splits = ("train", "val") if kubeflow.has_validation else ("train",)
        return DatasetShape(tuple(sorted(attributes)), splits)
    try:
        return read_shape(config)
    except (RefusedError, OSError) as error:
        keys = "kubeflow.has_validation" + ("" if data.attributes is None else " and kubeflow.attributes")
        what = f"is {data.root}, which cannot be listed from here ({str(error).rstrip('.')})"
        remedy = f"Compile where it can, or say what it holds in {keys}"
        raise RefusedError([Problem("data.root", what, remedy, "data_out_of_reach")]) from None


def _build(config: PipelineConfig, shape: DatasetShape) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch, own_schemas():
        places = ClusterPlaces(config, Path(scratch))
        built = PipelineBuilder(
            create_pipeline(config, places, shape, mark_code),
            default_image=config.kubeflow.image,
            default_commands=mend_spec.COMMAND,
            use_pipeline_spec_2_1=True,
        ).build()
        spec: dict[str, Any] = json_format.MessageToDict(built)
        mend_spec.inline_schema(spec)
    return spec


def _mend(
    spec: dict[str, Any],
    config: PipelineConfig,
    parameters: tuple[RuntimeParameter, ...],
    store: StoreAddress | None,
) -> None:
    kubeflow = config.kubeflow
    description = f"Trains, evaluates and pushes the segmentation model {config.name}"
    mend_spec.set_header(spec, kubeflow.pipeline_root, _own_version(), description)
    mend_spec.mend_producers(spec)
    mend_spec.indent_configurations(spec)
    hand_over_training(spec, config)
    mend_spec.add_parameters(spec, parameters)
    for node in mend_spec.tasks_of(spec):
        step = kubeflow.step(node)
        mend_spec.set_command(spec, node, parameters, kubeflow.pipeline_root, config_json(config))
        variables = mend_spec.variables_of(config, node, str(store) if store else None)
        mend_spec.set_environment(spec, node, variables)
        mend_spec.set_resources(spec, node, step)
        mend_spec.set_policies(spec, node, step)


def _find_store(config: PipelineConfig) -> StoreAddress | None:
    store = config.metadata.store
    return parse_address(store, "metadata.store") if store is not None else None


def _own_version() -> str:
    try:
        return version("deconvflow")
    except PackageNotFoundError:
        return "unknown"
