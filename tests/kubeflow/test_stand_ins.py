"""The stand-ins themselves: what Kubernetes and the backend do with words, inputs and conditions."""

from __future__ import annotations

import pytest
from resolve_inputs import holds, list_producers, resolve_inputs
from run_container import Container, expand_variables, format_value
from step_runner import TaskOutcome, stage


@pytest.mark.parametrize(
    ("word", "expanded"),
    [
        ("$(RUN)", "r-1"),
        ("--run_id=$(RUN)/x", "--run_id=r-1/x"),
        ("$(OTHER)", "$(OTHER)"),
        ("$$(RUN)", "$(RUN)"),
        ("{{$}}", "{{$}}"),
        ("{{$.inputs.parameters['a']}}", "{{$.inputs.parameters['a']}}"),
    ],
)
def test_kubernetes_expands_variables(word, expanded):
    assert expand_variables(word, {"RUN": "r-1"}) == expanded


@pytest.mark.parametrize(
    ("value", "text"), [(5.0, "5"), (0.001, "0.001"), (True, "true"), ("", ""), ([1, "a"], '[1, "a"]')]
)
def test_values_are_written_as_the_launcher_writes_them(value, text):
    assert format_value(value) == text


def test_a_command_line_gets_values_uris_and_the_whole_input(tmp_path):
    artifact = {"uri": "minio://b/m", "type": {}}
    executor_input = {
        "inputs": {"parameterValues": {"n": 3.0}, "artifacts": {"model": {"artifacts": [artifact]}}},
        "outputs": {"outputFile": "/tmp/o.json"},
    }
    spec = {
        "command": ["python", "-m", "x"],
        "args": [
            "{{$}}",
            "--n={{$.inputs.parameters['n']}}",
            "{{$.inputs.artifacts['model'].uri}}",
            "$(RUN)",
        ],
    }
    platform = {
        "fieldPathAsEnv": [{"name": "RUN", "fieldPath": "metadata.labels['pipeline/runid']"}],
        "secretAsEnv": [{"secretName": "s", "keyToEnv": [{"secretKey": "k", "envVar": "PASSWORD"}]}],
    }
    container = Container(
        spec, platform, executor_input, tmp_path, {"pipeline/runid": "r-1"}, {"s": {"k": "hush"}}
    )
    words = container.command()
    assert words[:3] == ["python", "-m", "x"]
    assert words[3].startswith('{"inputs"')
    assert words[4:] == ["--n=3", "minio://b/m", "r-1"]
    assert container.environment() == {"RUN": "r-1", "PASSWORD": "hush"}


def test_inputs_come_from_constants_the_run_and_other_tasks():
    task = {
        "dependentTasks": ["Gate"],
        "inputs": {
            "parameters": {
                "a": {"runtimeValue": {"constant": "x"}},
                "b": {"componentInputParameter": "epochs"},
                "c": {"taskOutputParameter": {"producerTask": "First", "outputParameterKey": "value"}},
            },
            "artifacts": {
                "model": {"taskOutputArtifact": {"producerTask": "Second", "outputArtifactKey": "m"}}
            },
        },
    }
    component = {"inputDefinitions": {"parameters": {"a": {}, "b": {}, "c": {}, "d": {"defaultValue": 4}}}}
    outcomes = {
        "First": TaskOutcome("succeeded", parameters={"value": "v"}),
        "Second": TaskOutcome("cached", artifacts={"m": [{"uri": "minio://b/m", "name": "7"}]}),
    }
    inputs = resolve_inputs(task, component, {"epochs": 3}, outcomes)
    assert inputs.parameters == {"a": "x", "b": 3, "c": "v", "d": 4}
    assert inputs.artifacts == {"model": [{"uri": "minio://b/m", "name": "7"}]}
    assert list_producers(task) == {"Gate", "First", "Second"}


def test_conditions_decide():
    values = {"blessed": "true", "n": 2.0}
    assert holds("", values)
    assert holds("inputs.parameter_values['blessed'] == 'true' && inputs.parameter_values['n'] != 3", values)
    assert not holds("inputs.parameter_values['n'] == 3", values)


def test_staging_folders(tmp_path):
    assert stage("minio://b/a", tmp_path) == tmp_path / "minio/b/a"
    assert stage("gs://b/a", tmp_path) == tmp_path / "gcs/b/a"
