"""One executor on staged folders: what it is given, and what the launcher reads of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.choose_runner import FN_API_RUNNER

pytestmark = pytest.mark.slow

_MODEL, _TEXT, _BLESSING = (
    "minio://b/r/Trainer/1/model",
    "minio://b/r/Step/2/text",
    "s3://c/r/Step/2/blessing",
)


@pytest.fixture
def executor_input(tmp_path, monkeypatch):
    """An ExecutorInput as the launcher writes it, and the folder that it staged."""
    monkeypatch.setenv("DECONVFLOW_STAGING_ROOT", str(tmp_path))
    model = {"name": "17", "uri": _MODEL, "type": {"schemaTitle": "tfx.Model"}}
    model["metadata"] = {"display_name": "model", "store_session_info": "{}"}
    text = {"uri": _TEXT, "type": {"schemaTitle": "tfx.String"}}
    blessing = {"uri": _BLESSING, "type": {"schemaTitle": "tfx.ModelBlessing"}}
    return json.dumps(
        {
            "inputs": {
                "parameterValues": {"word": "a", "count": 3, "trainer_epochs": 5},
                "artifacts": {"model": {"artifacts": [model]}},
            },
            "outputs": {
                "outputFile": str(tmp_path / "out/output_metadata.json"),
                "artifacts": {"text": {"artifacts": [text]}, "blessing": {"artifacts": [blessing]}},
                "parameters": {"text": {"outputFile": str(tmp_path / "text")}},
            },
        }
    )


_SPEC = json.dumps(
    {"parameters": {"word": {"parameterType": "STRING"}, "count": {"parameterType": "NUMBER_INTEGER"}}}
)


def test_a_step_is_given_local_paths_and_its_own_properties(tmp_path, executor_input):
    from pipeline.cluster.run_executor import read_invocation

    invocation = read_invocation(executor_input, _SPEC)
    assert invocation.properties == {"word": "a", "count": 3}
    assert isinstance(invocation.properties["count"], int)
    assert invocation.inputs["model"][0].uri == f"{tmp_path}/minio/b/r/Trainer/1/model"
    assert invocation.outputs["blessing"][0].uri == f"{tmp_path}/s3/c/r/Step/2/blessing"
    (recorded,) = invocation.with_uris(invocation.inputs)["model"]
    assert recorded.uri == _MODEL
    assert not recorded.mlmd_artifact.custom_properties


def test_the_launcher_reads_uris_values_and_properties(tmp_path, executor_input, monkeypatch):
    from tfx.components.evaluator import executor as tfx_evaluator

    from pipeline.cluster.run_executor import read_invocation, run_executor, write_output

    class Executor(tfx_evaluator.Executor):
        def Do(self, input_dict, output_dict, exec_properties):  # noqa: N802
            (model,), (text,), (blessing,) = input_dict["model"], output_dict["text"], output_dict["blessing"]
            assert Path(blessing.uri).is_dir()
            assert self._context.pipeline_run_id == "run-1"
            assert self._beam_pipeline_args[:2] == ["--mine=1", f"--runner={FN_API_RUNNER}"]
            text.value = f"{exec_properties['word']} {exec_properties['count']}"
            blessing.set_int_custom_property("blessed", 1)
            blessing.set_string_custom_property("current_model", f"{model.uri}/serving")
            blessing.set_int_custom_property("current_model_id", model.id)
            # As TFX has it where the baseline is no artifact of a step.
            blessing.set_int_custom_property("baseline_model_id", 0)

    # TFX refuses classes that cannot be found by their names.
    Executor.__qualname__, Executor.__module__ = "Executor", "pipeline.cluster.run_executor"
    monkeypatch.setattr("pipeline.cluster.run_executor.Executor", Executor, raising=False)
    monkeypatch.setattr("pipeline.choose_runner.version", lambda _: "2.77.0")
    invocation = read_invocation(executor_input, _SPEC)
    run_executor(Executor, invocation, {"word": "b", "count": 4}, ["--mine=1"], "run-1")
    write_output(invocation)
    output = json.loads((tmp_path / "out/output_metadata.json").read_text())
    assert output["parameterValues"] == {"text": "b 4"}
    (blessing,) = output["artifacts"]["blessing"]["artifacts"]
    assert blessing["uri"] == _BLESSING
    assert blessing["metadata"]["blessed"] == 1
    assert blessing["metadata"]["current_model"] == f"{_MODEL}/serving"
    assert blessing["metadata"]["current_model_id"] == "17"
    assert str(tmp_path) not in json.dumps(output)
    assert (tmp_path / "minio/b/r/Step/2/text").read_text() == "b 4"


@pytest.mark.parametrize(
    ("executor", "component", "has_driver"),
    [
        ("tfx.components.statistics_gen.executor.Executor", "statistics_gen.component.StatisticsGen", False),
        ("tfx.components.trainer.executor.GenericExecutor", "trainer.component.Trainer", False),
        ("components.dataset_snapshot.DatasetSnapshotExecutor", "dataset_snapshot.DatasetSnapshot", True),
        ("components.pusher.Executor", "pusher.Pusher", True),
        ("components.evaluator.Executor", "evaluator.Evaluator", False),
    ],
)
def test_executions_have_the_types_of_local_ones(executor, component, has_driver):
    from tfx.utils import import_utils

    from pipeline.cluster.find_component import build_execution_type, find_component, make_driver

    executor_class = import_utils.import_class_by_path(executor)
    found = find_component(executor_class)
    package = executor.partition("components.")[0] + "components"
    assert build_execution_type(executor_class, found).name == f"{package}.{component}"
    assert (make_driver(found) is not None) == has_driver
