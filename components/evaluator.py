"""Evaluator: TFX's, with the baseline as a value and a verdict that can be read.

The baseline comes as an execution property rather than as a model artifact from a Resolver: its
string follows content, so the cache does too, and it works on Kubeflow, which refuses resolvers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow_model_analysis as tfma
from google.protobuf import json_format
from tensorflow_model_analysis.proto import config_pb2
from tfx import types
from tfx.components.evaluator import constants
from tfx.components.evaluator import executor as tfx_evaluator
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import artifact_utils, standard_artifacts
from tfx.types import standard_component_specs as keys
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.types.system_executions import Evaluate
from tfx.utils import path_utils

from components import evaluation_hooks
from components.baseline_reference import BaselineReference
from components.bound_batches import bounded_batches
from components.build_eval_config import build_eval_config
from components.config import EvaluationConfig
from components.evaluation_results import SliceResult, find_empty_slices
from components.fetch_version import on_this_machine
from components.gates import slice_feature, validate_gates
from components.judge_model import Verdict, judge_model, metrics_to_json, verdict_to_json
from components.manifest import fingerprint_model
from components.read_evaluation import read_failures, read_slices
from components.read_splits import joined_splits
from components.write_json import write_json
from data.errors import Problem, RefusedError

VERDICT_FILE = "verdict.json"
METRICS_FILE = "metrics.json"
_FETCHED = ".baseline"


class Executor(tfx_evaluator.Executor):
    """Evaluates all splits in one pass, judges the gates, and writes metrics.json and verdict.json."""

    def Do(  # noqa: N802
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Runs the evaluation.

        Args:
            input_dict: examples, model.
            output_dict: evaluation, blessing.
            exec_properties: see the component; ``baseline_uri`` may be empty.

        Raises:
            RefusedError: a split to be evaluated is not among the examples' splits.
        """
        config = EvaluationConfig.model_validate_json(exec_properties["evaluation_config"])
        examples = artifact_utils.get_single_instance(input_dict[keys.EXAMPLES_KEY])
        _check_splits(examples, config.splits)
        baseline = BaselineReference.from_value(exec_properties["baseline_uri"])
        _restore_names()
        # Beside the outputs, where Beam's workers see it, wherever they are.
        scratch = Path(artifact_utils.get_single_uri(output_dict[keys.EVALUATION_KEY])) / _FETCHED
        with (
            bounded_batches(),
            joined_splits(examples, config.splits),
            on_this_machine(baseline.path, scratch) as baseline_dir,
        ):
            models = {keys.BASELINE_MODEL_KEY: [_pushed_model(baseline_dir)]} if baseline_dir else {}
            super().Do(
                {**input_dict, **models},
                output_dict,
                {
                    **exec_properties,
                    keys.MODULE_PATH_KEY: evaluation_hooks.__name__,
                    keys.EXAMPLE_SPLITS_KEY: json.dumps(config.splits[:1]),
                },
            )
        self._write_verdict(config, baseline, input_dict, output_dict, exec_properties)

    def _write_verdict(
        self,
        config: EvaluationConfig,
        baseline: BaselineReference,
        input_dict: Mapping[str, Sequence[types.Artifact]],
        output_dict: Mapping[str, Sequence[types.Artifact]],
        exec_properties: Mapping[str, Any],
    ) -> None:
        class_names = json.loads(exec_properties["class_names"])
        evaluation = artifact_utils.get_single_instance(output_dict[keys.EVALUATION_KEY])
        blessing = artifact_utils.get_single_instance(output_dict[keys.BLESSING_KEY])
        model_name = tfma.CANDIDATE_KEY if baseline.path else ""
        results = read_slices(evaluation.uri, class_names, model_name)
        pushed = read_slices(evaluation.uri, class_names, tfma.BASELINE_KEY) if baseline.path else ()
        verdict = judge_model(config, results, pushed, read_failures(evaluation.uri), baseline)
        _bless(blessing, verdict.blessed)
        write_json(Path(evaluation.uri) / METRICS_FILE, metrics_to_json(results, pushed, class_names))
        facts = _collect_facts(baseline, input_dict, exec_properties)
        document = verdict_to_json(
            verdict, results, class_names, facts, _write_notes(config, results, baseline)
        )
        write_json(Path(blessing.uri) / VERDICT_FILE, document)


def _restore_names() -> None:
    """Gives TFMA back names that TFX's executor uses and that TFMA 0.52 no longer exports."""
    for name in ("EvalConfig", "ModelSpec"):
        if not hasattr(tfma, name):
            setattr(tfma, name, getattr(config_pb2, name))


def _check_splits(examples: types.Artifact, wanted: Sequence[str]) -> None:
    present = artifact_utils.decode_split_names(examples.split_names)
    if missing := [split for split in wanted if split not in present]:
        what = f"names {missing[0]}, but the data set has only {', '.join(present)}"
        raise RefusedError(
            [Problem("evaluation.splits", what, "Evaluate splits that there are", "config_bad_value")]
        )


def _pushed_model(version_dir: str) -> types.Artifact:
    """Returns a pushed version as TFX wants a baseline; evaluation_hooks mends the inner folder's name."""
    model = standard_artifacts.Model()
    model.uri = version_dir
    return model


def _bless(blessing: types.Artifact, blessed: bool) -> None:
    """Makes the blessing say what the verdict says; it can only be stricter than TFX's own."""
    folder = Path(blessing.uri)
    wanted, other = constants.BLESSED_FILE_NAME, constants.NOT_BLESSED_FILE_NAME
    if not blessed:
        wanted, other = other, wanted
    (folder / other).unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / wanted).touch()
    value = constants.BLESSED_VALUE if blessed else constants.NOT_BLESSED_VALUE
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY, value)


def _collect_facts(
    baseline: BaselineReference,
    input_dict: Mapping[str, Sequence[types.Artifact]],
    exec_properties: Mapping[str, Any],
) -> dict[str, Any]:
    examples = artifact_utils.get_single_instance(input_dict[keys.EXAMPLES_KEY])
    model = artifact_utils.get_single_instance(input_dict[keys.MODEL_KEY])
    described = {"version": int(Path(baseline.path).name), "uri": baseline.path} if baseline.path else None
    return {
        "baseline": described,
        "data_fingerprint": examples.get_string_custom_property("fingerprint"),
        "code_fingerprint": exec_properties["code_fingerprint"],
        "model_fingerprint": fingerprint_model(path_utils.serving_model_path(model.uri)),
    }


def _write_notes(
    config: EvaluationConfig, results: Sequence[SliceResult], baseline: BaselineReference
) -> list[str]:
    wanted = [[slice_feature(name) for name in names] for names in config.slices]
    notes = find_empty_slices(results, wanted, config.splits)
    if not baseline.path:
        notes.append(f"There was nothing to compare with: {baseline.reason}.")
    return notes


class EvaluatorSpec(ComponentSpec):
    """Inputs, outputs and execution properties of Evaluator."""

    PARAMETERS = {  # noqa: RUF012
        keys.EVAL_CONFIG_KEY: ExecutionParameter(type=str),
        keys.EXAMPLE_SPLITS_KEY: ExecutionParameter(type=str),
        "evaluation_config": ExecutionParameter(type=str),
        "class_names": ExecutionParameter(type=str),
        "code_fingerprint": ExecutionParameter(type=str),
        "baseline_uri": ExecutionParameter(type=str),
    }
    INPUTS = {  # noqa: RUF012
        keys.EXAMPLES_KEY: ChannelParameter(type=standard_artifacts.Examples),
        keys.MODEL_KEY: ChannelParameter(type=standard_artifacts.Model),
    }
    OUTPUTS = {  # noqa: RUF012
        keys.EVALUATION_KEY: ChannelParameter(type=standard_artifacts.ModelEvaluation),
        keys.BLESSING_KEY: ChannelParameter(type=standard_artifacts.ModelBlessing),
    }
    TYPE_ANNOTATION = Evaluate


class Evaluator(base_beam_component.BaseBeamComponent):
    """Evaluates a model on raw examples and blesses it if it passes every gate.

    Outputs ``evaluation`` (TFMA's files and metrics.json) and ``blessing`` (with verdict.json).
    """

    SPEC_CLASS = EvaluatorSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        model: types.BaseChannel,
        evaluation_config: EvaluationConfig,
        class_names: Sequence[str],
        code_fingerprint: str,
        baseline_uri: Any = "",
    ) -> None:
        """Makes the component.

        Args:
            examples: raw examples of all splits.
            model: the exported model, with the ``evaluate`` signature.
            evaluation_config: splits, slices and gates.
            class_names: names of the classes in the order of their ids.
            code_fingerprint: of our source.
            baseline_uri: BaselineModel's value, as ``outputs["baseline_uri"].future()[0].value``.

        Raises:
            RefusedError: a gate is on a metric that does not exist.
        """
        if problems := validate_gates(evaluation_config, class_names):
            raise RefusedError(problems)
        eval_config = build_eval_config(evaluation_config, class_names, code_fingerprint)
        super().__init__(
            spec=EvaluatorSpec(
                examples=examples,
                model=model,
                eval_config=json_format.MessageToJson(eval_config, sort_keys=True),
                example_splits=json.dumps(list(evaluation_config.splits)),
                evaluation_config=evaluation_config.model_dump_json(),
                class_names=json.dumps(list(class_names)),
                code_fingerprint=code_fingerprint,
                baseline_uri=baseline_uri,
                evaluation=types.Channel(type=standard_artifacts.ModelEvaluation),
                blessing=types.Channel(type=standard_artifacts.ModelBlessing),
            )
        )


__all__ = ["METRICS_FILE", "VERDICT_FILE", "Evaluator", "Executor", "Verdict"]
