"""The stand-ins themselves: what Kubernetes and the backend do with words, inputs and conditions."""

from __future__ import annotations

import pytest
import yaml
from resolve_inputs import holds, list_producers, resolve_inputs
from run_container import Container, Finished, expand_variables, format_value
from step_runner import Cluster, TaskOutcome, run_pipeline, stage


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


class _Script:
    """A runtime whose containers do what a test says: write a text, or fail."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.seen: list[str] = []

    def run(self, container):
        status = self.statuses.pop(0) if self.statuses else 0
        artifact = container.executor_input["outputs"]["artifacts"]["made"]["artifacts"][0]
        for listed in container.executor_input["inputs"]["artifacts"].values():
            self.seen.append(stage(listed["artifacts"][0]["uri"], container.pod).read_text())
        stage(artifact["uri"], container.pod).write_text(container.command()[-1])
        return Finished(status, f"status {status}\n", 0.0)


def _task(**more):
    return {"componentRef": {"name": "make"}, "cachingOptions": {"enableCache": True}, **more}


@pytest.fixture
def compiled(tmp_path):
    """Two tasks: First makes a text out of a parameter, Second reads it."""
    text = {"artifacts": {"made": {"artifactType": {"schemaTitle": "Text"}}}}
    make = {
        "executorLabel": "e", "outputDefinitions": text,
        "inputDefinitions": {"parameters": {"word": {"parameterType": "STRING"}}},
    }  # fmt: skip
    word = {"inputs": {"parameters": {"word": {"componentInputParameter": "word"}}}}
    value = "{{$.inputs.parameters['word']}}"
    source = {"producerTask": "First", "outputArtifactKey": "made"}
    spec = {
        "schemaVersion": "2.1.0",
        "defaultPipelineRoot": "minio://bucket/root",
        "pipelineInfo": {"name": "demo"},
        "components": {"make": make, "read": {"executorLabel": "f", "outputDefinitions": text}},
        "deploymentSpec": {
            "executors": {
                "e": {"container": {"image": "i:1", "command": ["c"], "args": [value]}},
                "f": {"container": {"image": "i:1", "command": ["c"], "args": ["read"]}},
            }
        },
        "root": {
            "inputDefinitions": {"parameters": {"word": {"parameterType": "STRING", "defaultValue": "one"}}},
            "dag": {
                "tasks": {
                    "Second": {
                        **_task(componentRef={"name": "read"}),
                        "inputs": {"artifacts": {"text": {"taskOutputArtifact": source}}},
                    },
                    "First": _task(**word, retryPolicy={"maxRetryCount": 1}),
                }
            },
        },
    }  # fmt: skip
    platforms = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {}}}}}
    path = tmp_path / "pipeline.yaml"
    path.write_text(yaml.safe_dump_all([spec, platforms]))
    return path


def test_outputs_are_handed_on_through_the_object_store(tmp_path, compiled):
    runtime = _Script()
    run = run_pipeline(Cluster(tmp_path / "cluster", runtime), compiled, {"word": "two"})
    assert run.states == {"First": "succeeded", "Second": "succeeded"}
    assert runtime.seen == ["two"]
    uri = run.tasks["First"].artifacts["made"][0]["uri"]
    assert uri.startswith(f"minio://bucket/root/demo/{run.run_id}/First/")
    assert not list((tmp_path / "cluster" / "pods").iterdir())


def test_the_cache_goes_by_what_a_task_gets(tmp_path, compiled):
    cluster = Cluster(tmp_path / "cluster", _Script())
    run_pipeline(cluster, compiled)
    again = run_pipeline(cluster, compiled)
    assert again.states == {"First": "cached", "Second": "cached"}
    other = run_pipeline(cluster, compiled, {"word": "other"})
    assert other.states == {"First": "succeeded", "Second": "succeeded"}
    compiled.write_text(compiled.read_text().replace("i:1", "i:2"))
    assert set(run_pipeline(cluster, compiled).states.values()) == {"succeeded"}


def test_a_task_is_tried_again_and_what_follows_a_failure_is_not_started(tmp_path, compiled):
    run = run_pipeline(Cluster(tmp_path / "retried", _Script(1)), compiled)
    assert run.states == {"First": "succeeded", "Second": "succeeded"}
    assert run.tasks["First"].attempts == 2
    run = run_pipeline(Cluster(tmp_path / "failed", _Script(1, 1)), compiled)
    assert run.states == {"First": "failed", "Second": "skipped"}
    assert not run.succeeded


def test_no_parameter_is_made_up(tmp_path, compiled):
    with pytest.raises(AssertionError, match="nonsense"):
        run_pipeline(Cluster(tmp_path / "cluster", _Script()), compiled, {"nonsense": 1})
