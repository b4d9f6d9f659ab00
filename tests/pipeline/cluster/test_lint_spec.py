"""Each thing that a backend would refuse is found, named by its place, and nothing else is."""

from __future__ import annotations

import json

import pytest
import yaml

from data.errors import RefusedError
from pipeline.cluster.lint_spec import lint_documents, read_documents


def _task(spec, name):
    return spec["root"]["dag"]["tasks"][name]


def _container(spec, name="Train"):
    return spec["deploymentSpec"]["executors"][f"{name}_executor"]["container"]


def _places(*documents):
    return {problem.where: problem.sentence() for problem in lint_documents(list(documents))}


def test_a_sound_pipeline_has_no_problem(spec, platforms):
    assert _places(spec, platforms) == {}
    assert _places(spec) == {}


def _resolver(spec):
    spec["deploymentSpec"]["executors"]["Train_executor"] = {
        "resolver": {"outputArtifactQueries": {"model": {"filter": "x"}}}
    }


def _lifecycle(spec):
    _container(spec)["lifecycle"] = {"preCacheCheck": {"command": ["python"]}}


def _circle(spec):
    _task(spec, "Look")["dependentTasks"] = ["Train"]


BREAKS = [
    (_resolver, "deploymentSpec.executors.Train_executor", "is a resolver"),
    (_lifecycle, "deploymentSpec.executors.Train_executor.container.lifecycle.preCacheCheck", "is never run"),
    (lambda s: s.pop("schemaVersion"), "schemaVersion", "takes 2.1.0 only"),
    (lambda s: s.update(schemaVersion="2.0.0"), "schemaVersion", "is 2.0.0"),
    (lambda s: s["pipelineInfo"].update(name="Streets_1"), "pipelineInfo.name", "lower case"),
    (lambda s: s["pipelineInfo"].update(name="a" * 129), "pipelineInfo.name", "128"),
    (
        lambda s: _task(s, "Train")["inputs"]["parameters"]["found"]["taskOutputParameter"].update(
            producerTask="Look_task"
        ),
        "root.dag.tasks.Train.inputs.parameters.found",
        "Name the task Look",
    ),
    (
        lambda s: _task(s, "Train")["inputs"]["artifacts"]["found"]["taskOutputArtifact"].update(
            outputArtifactKey="lost"
        ),
        "root.dag.tasks.Train.inputs.artifacts.found",
        "Name one of: found",
    ),
    (
        lambda s: _task(s, "Train").update(dependentTasks=["Loop"]),
        "root.dag.tasks.Train.dependentTasks",
        "Loop",
    ),
    (_circle, "root.dag.tasks", "Look -> Train -> Look"),
    (
        lambda s: _task(s, "Look")["inputs"]["parameters"]["place"]["runtimeValue"].update(constant=7),
        "root.dag.tasks.Look.inputs.parameters.place",
        "takes a STRING",
    ),
    (
        lambda s: _task(s, "Look").pop("inputs"),
        "root.dag.tasks.Look.inputs.parameters.place",
        "gets no value",
    ),
    (
        lambda s: _task(s, "Train")["inputs"]["parameters"]["epochs"].update(componentInputParameter="epoch"),
        "root.dag.tasks.Train.inputs.parameters.epochs",
        "epoch, which does not exist",
    ),
    (
        lambda s: s["components"]["Train"]["inputDefinitions"]["parameters"]["found"].update(
            parameterType="NUMBER_DOUBLE"
        ),
        "root.dag.tasks.Train.inputs.parameters.found",
        "is a STRING, and the component takes a NUMBER_DOUBLE",
    ),
    (
        lambda s: s["root"]["inputDefinitions"]["parameters"]["epochs"].update(defaultValue=2.5),
        "root.inputDefinitions.parameters.epochs",
        "which is no NUMBER_INTEGER",
    ),
    (
        lambda s: s["components"]["Look"]["inputDefinitions"]["parameters"].update(place={"type": "STRING"}),
        "components.Look.inputDefinitions.parameters.place",
        "parameterType None",
    ),
    (
        lambda s: _container(s).pop("image"),
        "deploymentSpec.executors.Train_executor.container.image",
        "missing",
    ),
    (
        lambda s: _container(s).update(image="deconvflow:latest"),
        "deploymentSpec.executors.Train_executor.container.image",
        "another image tomorrow",
    ),
    (
        lambda s: _container(s).pop("command"),
        "deploymentSpec.executors.Train_executor.container.command",
        "entrypoint is not run",
    ),
    (
        lambda s: _container(s).update(
            command=["python", "-m", "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor"]
        ),
        "deploymentSpec.executors.Train_executor.container.command",
        "TFX's own entrypoint",
    ),
    (
        lambda s: _container(s).update(resources={"accelerator": {"type": "nvidia.com/gpu", "count": "1"}}),
        "deploymentSpec.executors.Train_executor.container.resources.accelerator",
        "lacks resourceType, resourceCount",
    ),
    (
        lambda s: _container(s).update(env=[{"name": "AWS_SECRET_ACCESS_KEY", "value": "abc"}]),
        "deploymentSpec.executors.Train_executor.container.env.AWS_SECRET_ACCESS_KEY",
        "plain sight",
    ),
    (
        lambda s: _container(s)["args"].append("{{$.inputs.parameters['rate']}}"),
        "deploymentSpec.executors.Train_executor.container.args",
        "the parameter rate",
    ),
    (
        lambda s: _container(s)["args"].append("--run={{$.pipeline_job_uuid}}"),
        "deploymentSpec.executors.Train_executor.container.args",
        "does not replace",
    ),
    (
        lambda s: s["components"]["Train"].update(executorLabel="gone"),
        "components.Train.executorLabel",
        "gone, which does not exist",
    ),
    (
        lambda s: s["components"]["Look"]["outputDefinitions"]["artifacts"]["found"]["artifactType"].update(
            instanceSchema="type: object"
        ),
        "components.Look.artifacts.found",
        "without a title",
    ),
    (lambda s: s.update(schema_versions="x"), "specification", "unknown"),
    (lambda s: _container(s).update(imagePullPolicy="Always"), "deploymentSpec", "imagePullPolicy"),
]


@pytest.mark.parametrize(
    ("spoil", "where", "said"), BREAKS, ids=[f"{n}-{b[1]}" for n, b in enumerate(BREAKS)]
)
def test_what_the_backend_refuses_is_found(spec, platforms, spoil, where, said):
    spoil(spec)
    found = _places(spec, platforms)
    assert where in found, found
    assert said in found[where]


def test_names_that_argo_refuses(spec):
    tasks = spec["root"]["dag"]["tasks"]
    tasks["Look_twice"] = {**tasks["Look"]}
    assert "root.dag.tasks.Look_twice" in _places(spec)


def test_unknown_fields_of_the_platform_document(spec, platforms):
    step = platforms["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["Train_executor"]
    step["nodeSelectors"] = {}
    assert (
        "nodeSelectors"
        in _places(spec, platforms)["platforms.kubernetes.deploymentSpec.executors.Train_executor"]
    )


def test_a_platform_entry_for_no_executor(spec, platforms):
    executors = platforms["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    executors["Trainer_executor"] = {}
    assert set(_places(spec, platforms)) == {"platforms.kubernetes.deploymentSpec.executors.Trainer_executor"}


def test_a_job_for_the_managed_service(spec):
    assert "managed service" in _places({"pipelineSpec": spec, "displayName": "x"})["pipelineSpec"]


@pytest.mark.parametrize("documents", [[], [3], [{"platforms": {}}]])
def test_files_that_are_something_else(documents):
    assert len(lint_documents(documents)) == 1


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a: [", b"a: !!python/object:os.system {}"])
def test_files_that_are_no_yaml_are_refused(tmp_path, content):
    path = tmp_path / "pipeline.yaml"
    path.write_bytes(content)
    with pytest.raises(RefusedError) as caught:
        read_documents(path)
    assert caught.value.problems[0].where == str(path)


def test_the_command_names_place_and_remedy_and_exits_with_2(spec, platforms, tmp_path, call):
    path = tmp_path / "pipeline.yaml"
    del spec["schemaVersion"]
    path.write_text(yaml.safe_dump_all([spec, platforms]))
    done = call("kubeflow", "lint", str(path), "--json")
    document = json.loads(done.out)
    assert done.status == 2
    assert (document["ok"], document["tasks"], len(document["problems"])) == (False, 2, 1)
    assert f"{path}: schemaVersion" in done.err
