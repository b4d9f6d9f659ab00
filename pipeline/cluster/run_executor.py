"""Runs one component's executor on staged folders, as TFX's ``kubeflow_v2_run_executor`` does on URIs.

That one opens the URIs that the backend names, hands its executors no run id, and keeps what it parsed to
itself, so that nothing could be recorded. Parsing and translating are TFX's own here, too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.components.evaluator import executor as evaluator_executor
from tfx.dsl.components.base import base_beam_executor, base_executor
from tfx.orchestration.kubeflow.v2 import compiler_utils
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_entrypoint_utils as tfx_utils
from tfx.orchestration.portable import outputs_utils
from tfx.types import artifact_utils, standard_artifacts
from tfx.types import standard_component_specs as keys
from tfx.types.value_artifact import ValueArtifact

from components.artifact_types import RunReportPage
from components.bound_batches import bounded_batches
from data.replace_file import replace_file
from pipeline.choose_runner import choose_runner
from pipeline.cluster.artifact_schemas import CLASS_PATHS
from pipeline.cluster.map_uris import UriMap
from pipeline.cluster.record_step import ArtifactDict, copy_artifact

_NUMBERS = (standard_artifacts.Integer, standard_artifacts.Float)


@dataclass(frozen=True)
class Invocation:
    """What the backend asks of a step: artifacts with local paths, and TFX's execution properties."""

    inputs: ArtifactDict
    outputs: ArtifactDict
    properties: dict[str, Any]
    output_file: Path
    output_parameters: Sequence[str]
    uris: UriMap
    names: dict[int, str]
    """The backend's names of artifacts, by the numbers that TFX makes of them."""

    def with_uris(self, artifacts: ArtifactDict) -> ArtifactDict:
        """Returns artifacts as they are to be recorded: with URIs in the place of local paths."""
        copies = {
            key: [copy_artifact(one, self.uris.restore(one.uri)) for one in found]
            for key, found in artifacts.items()
        }
        for copied in (one for found in copies.values() for one in found):
            for properties in (copied.mlmd_artifact.properties, copied.mlmd_artifact.custom_properties):
                for value in properties.values():
                    if value.HasField("string_value"):
                        value.string_value = self.uris.restore(value.string_value)
        return copies


def read_invocation(executor_input_json: str, inputs_spec_json: str | None) -> Invocation:
    """Reads the ExecutorInput and the ComponentInputsSpec that stand in a step's arguments.

    Parameters that the latter does not name feed overrides and the cache's key, and are no execution
    properties.
    """
    compiler_utils.TITLE_TO_CLASS_PATH.update(CLASS_PATHS)
    executor_input = json_format.Parse(
        executor_input_json, pipeline_spec_pb2.ExecutorInput(), ignore_unknown_fields=True
    )
    given, wanted = executor_input.inputs, executor_input.outputs
    artifacts = [
        one
        for found in (given.artifacts, wanted.artifacts)
        for listed in found.values()
        for one in listed.artifacts
    ]
    uris = UriMap(one.uri for one in artifacts)
    for one in artifacts:
        # TFX tells the models of a blessing by the names, which older backends leave empty.
        one.name = one.name or one.uri
        one.uri = uris.stage(one.uri)
    # The baseline is no step's artifact, and so has neither number nor name.
    names = {0: ""}
    return Invocation(
        inputs=tfx_utils.parse_raw_artifact_dict(given.artifacts, names),
        outputs=tfx_utils.parse_raw_artifact_dict(wanted.artifacts, names),
        properties=_read_properties(given, inputs_spec_json),
        output_file=Path(wanted.output_file),
        output_parameters=tuple(wanted.parameters),
        uris=uris,
        names=names,
    )


def _read_properties(given: Any, inputs_spec_json: str | None) -> dict[str, Any]:
    if not inputs_spec_json:
        return dict(tfx_utils.parse_execution_properties(given.parameter_values, given.parameters, None))
    spec = json_format.Parse(
        inputs_spec_json, pipeline_spec_pb2.ComponentInputsSpec(), ignore_unknown_fields=True
    )
    found = tfx_utils.parse_execution_properties(given.parameter_values, given.parameters, spec)
    return {key: value for key, value in found.items() if key in spec.parameters}


def run_executor(
    executor_class: type[base_executor.BaseExecutor],
    invocation: Invocation,
    properties: Mapping[str, Any],
    beam_args: Sequence[str],
    run_id: str,
) -> None:
    """Runs the executor; raises what it raises."""
    scratch = invocation.output_file.parent
    common = {
        "unique_id": scratch.name,
        "tmp_dir": str(scratch / ".temp"),
        "pipeline_run_id": run_id,
    }
    if issubclass(executor_class, base_beam_executor.BaseBeamExecutor):
        arguments = list(choose_runner(beam_args))
        context = base_beam_executor.BaseBeamExecutor.Context(beam_pipeline_args=arguments, **common)
    else:
        context = base_executor.BaseExecutor.Context(extra_flags=list(beam_args), **common)
    _make_empty_inputs(invocation)
    outputs_utils.make_output_dirs(invocation.outputs)
    with bounded_batches():
        executor_class(context).Do(
            {key: list(found) for key, found in invocation.inputs.items()},
            {key: list(found) for key, found in invocation.outputs.items()},
            dict(properties),
        )
    outputs_utils.tag_output_artifacts_with_version(invocation.outputs)
    _restore_pages(invocation)
    if issubclass(executor_class, evaluator_executor.Executor):
        blessing = artifact_utils.get_single_instance(list(invocation.outputs[keys.BLESSING_KEY]))
        tfx_utils.refactor_model_blessing(blessing, invocation.names)


def _make_empty_inputs(invocation: Invocation) -> None:
    """Makes the folders that held nothing, which no object store keeps: of a model that was not pushed."""
    for artifact in (one for found in invocation.inputs.values() for one in found):
        is_staged = invocation.uris.restore(artifact.uri) != artifact.uri
        if is_staged and not isinstance(artifact, ValueArtifact):
            Path(artifact.uri).mkdir(parents=True, exist_ok=True)


def _restore_pages(invocation: Invocation) -> None:
    """Lets the report name artifacts by their URIs: the folders that it was made from go with the pod."""
    for artifact in (one for found in invocation.outputs.values() for one in found):
        page = Path(artifact.uri) / RunReportPage.FILE_NAME
        if isinstance(artifact, RunReportPage) and page.exists():
            text = invocation.uris.restore_text(page.read_text(encoding="utf-8"))
            replace_file(page, text)


def write_output(invocation: Invocation) -> None:
    """Writes the ExecutorOutput that the launcher reads: URIs, properties and output parameters."""
    output = pipeline_spec_pb2.ExecutorOutput()
    translated = tfx_utils.translate_executor_output(
        {key: list(found) for key, found in invocation.outputs.items()}, invocation.names
    )
    for key, artifacts in translated.items():
        output.artifacts[key].CopyFrom(artifacts)
    for key in invocation.output_parameters:
        _set_parameter(output.parameter_values[key], invocation.outputs[key][0])
    document = invocation.uris.restore_all(json_format.MessageToDict(output))
    invocation.output_file.parent.mkdir(parents=True, exist_ok=True)
    replace_file(invocation.output_file, json.dumps(document))


def _set_parameter(value: Any, artifact: Any) -> None:
    content = artifact.read()
    if isinstance(artifact, standard_artifacts.String):
        value.string_value = content
    elif isinstance(artifact, standard_artifacts.Boolean):
        value.bool_value = content
    elif isinstance(artifact, _NUMBERS):
        value.number_value = content
    else:
        raise TypeError(f"{type(artifact).__name__} cannot be an output parameter")
