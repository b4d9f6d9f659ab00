"""Walks a compiled pipeline as an open-source Kubeflow Pipelines backend does, without a cluster.

For each task the driver resolves the inputs and looks into the cache; the launcher downloads the inputs,
runs the container's command line and uploads the outputs. Stand-ins: a directory for the object store, a
staging folder a step for ``/minio`` and the container's ``/tmp``, a subprocess for the container. Written
from the backend's behaviour (DESIGN, section 6); uses nothing of ours, of TFX or of kfp.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from resolve_inputs import TaskInputs, holds, list_producers, resolve_inputs
from run_container import Container, Finished, Runtime


@dataclass
class TaskOutcome:
    """What became of one task."""

    state: str
    """succeeded, cached, failed or skipped."""
    attempts: int = 0
    log: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    artifacts: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """As a RuntimeArtifact's JSON."""
    seconds: float = 0.0


@dataclass
class RunOutcome:
    """What became of a run."""

    run_id: str
    tasks: dict[str, TaskOutcome]

    @property
    def succeeded(self) -> bool:
        return all(task.state in ("succeeded", "cached") for task in self.tasks.values())

    @property
    def states(self) -> dict[str, str]:
        return {name: task.state for name, task in self.tasks.items()}

    @property
    def logs(self) -> str:
        return "\n".join(f"== {name} {task.state}\n{task.log}" for name, task in self.tasks.items())


@dataclass
class Cluster:
    """What outlives a run: the object store, the cache, the secrets, and how containers are run.

    Attributes:
        folder: holds ``store`` (a folder a bucket) and ``pods`` (a folder a step).
        runtime: runs command lines.
        secrets: by name, key and value.
    """

    folder: Path
    runtime: Runtime
    secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    cache: dict[str, TaskOutcome] = field(default_factory=dict)

    def object_path(self, uri: str) -> Path:
        scheme, _, path = uri.partition("://")
        assert scheme in ("minio", "s3", "gs"), f"the launcher stages no {uri}"
        return self.folder / "store" / path

    def pod_folder(self, run_id: str, task: str) -> Path:
        folder = self.folder / "pods" / f"{run_id}-{task}-{uuid.uuid4().hex[:6]}"
        (folder / "tmp").mkdir(parents=True)
        return folder


def run_pipeline(
    cluster: Cluster,
    compiled: Path,
    parameters: Mapping[str, Any] | None = None,
    pipeline_root: str | None = None,
    only: Collection[str] | None = None,
) -> RunOutcome:
    """Runs a compiled pipeline once.

    Args:
        cluster: where.
        compiled: the two YAML documents.
        parameters: runtime parameters by name, in the place of their defaults.
        pipeline_root: in the place of the compiled one.
        only: these tasks and no others; none of them takes what another one makes.
    """
    spec, platforms = yaml.safe_load_all(compiled.read_text(encoding="utf-8"))
    assert spec["schemaVersion"] == "2.1.0", "this backend takes no other version"
    run_id = str(uuid.uuid4())
    root = (pipeline_root or spec["defaultPipelineRoot"]).rstrip("/")
    run = _Run(cluster, spec, platforms, f"{root}/{spec['pipelineInfo']['name']}/{run_id}", run_id)
    run.values = _root_parameters(spec, parameters or {})
    tasks = {
        name: task for name, task in spec["root"]["dag"]["tasks"].items() if only is None or name in only
    }
    while tasks:
        ready = [name for name, task in tasks.items() if not list_producers(task) & set(tasks)]
        assert ready, f"these tasks wait for each other: {sorted(tasks)}"
        for name in ready:
            run.outcomes[name] = run.run_task(name, tasks.pop(name))
    return RunOutcome(run_id, run.outcomes)


def _root_parameters(spec: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    declared = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    unknown = set(given) - set(declared)
    assert not unknown, f"the API refuses parameters that the pipeline has not: {sorted(unknown)}"
    values = {name: one["defaultValue"] for name, one in declared.items() if "defaultValue" in one}
    values |= given
    missing = [name for name, one in declared.items() if name not in values and not one.get("isOptional")]
    assert not missing, f"parameters without a value: {missing}"
    return values


class _Run:
    def __init__(
        self, cluster: Cluster, spec: dict[str, Any], platforms: dict[str, Any], root: str, run_id: str
    ) -> None:
        self._cluster, self._spec, self._root, self._run_id = cluster, spec, root, run_id
        self._platform = platforms["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        self.values: dict[str, Any] = {}
        self.outcomes: dict[str, TaskOutcome] = {}

    def run_task(self, name: str, task: Mapping[str, Any]) -> TaskOutcome:
        upstream = [self.outcomes[producer] for producer in list_producers(task)]
        if any(one.state in ("failed", "skipped") for one in upstream):
            return TaskOutcome("skipped")
        component = self._spec["components"][task["componentRef"]["name"]]
        inputs = resolve_inputs(task, component, self.values, self.outcomes)
        if not holds(task.get("triggerPolicy", {}).get("condition", ""), inputs.parameters):
            return TaskOutcome("skipped")
        label = component["executorLabel"]
        executor = self._spec["deploymentSpec"]["executors"][label]
        assert set(executor) == {"container"}, f"{name}: this backend runs containers, not {set(executor)}"
        platform = self._platform.get(label, {})
        key = _fingerprint(inputs, component, executor["container"], platform)
        is_cached = task.get("cachingOptions", {}).get("enableCache", False)
        if is_cached and key in self._cluster.cache:
            found = self._cluster.cache[key]
            return TaskOutcome("cached", parameters=found.parameters, artifacts=found.artifacts)
        outcome = self._execute(name, task, component, inputs, executor["container"], platform)
        if is_cached and outcome.state == "succeeded":
            self._cluster.cache[key] = outcome
        return outcome

    def _execute(
        self,
        name: str,
        task: Mapping[str, Any],
        component: Mapping[str, Any],
        inputs: TaskInputs,
        container: Mapping[str, Any],
        platform: Mapping[str, Any],
    ) -> TaskOutcome:
        log, seconds = "", 0.0
        attempts = 1 + int(task.get("retryPolicy", {}).get("maxRetryCount", 0))
        for attempt in range(1, attempts + 1):
            pod = self._cluster.pod_folder(self._run_id, name)
            executor_input = self._executor_input(name, component, inputs, pod)
            self._download(executor_input, pod)
            finished = self._start(container, platform, executor_input, pod)
            log += finished.log
            seconds += finished.seconds
            if finished.status == 0:
                outcome = self._collect(executor_input, component, pod)
                outcome.attempts, outcome.log, outcome.seconds = attempt, log, seconds
                shutil.rmtree(pod)
                return outcome
        return TaskOutcome("failed", attempts, log, seconds=seconds)

    def _executor_input(
        self, name: str, component: Mapping[str, Any], inputs: TaskInputs, pod: Path
    ) -> dict[str, Any]:
        declared = component.get("outputDefinitions", {})
        salt = uuid.uuid4().hex
        artifacts = {
            key: {
                "artifacts": [
                    {"uri": f"{self._root}/{name}/{salt}/{key}", "type": one["artifactType"], "metadata": {}}
                ]
            }
            for key, one in declared.get("artifacts", {}).items()
        }
        parameters = {
            key: {"outputFile": f"{pod}/tmp/kfp/outputs/{key}"} for key in declared.get("parameters", {})
        }
        outputs: dict[str, Any] = {"outputFile": f"{pod}/tmp/kfp_outputs/output_metadata.json"}
        outputs |= {"artifacts": artifacts} if artifacts else {}
        outputs |= {"parameters": parameters} if parameters else {}
        given = {key: {"artifacts": listed} for key, listed in inputs.artifacts.items()}
        return {"inputs": {"parameterValues": inputs.parameters, "artifacts": given}, "outputs": outputs}

    def _download(self, executor_input: Mapping[str, Any], pod: Path) -> None:
        for listed in executor_input["inputs"]["artifacts"].values():
            for artifact in listed["artifacts"]:
                source, target = self._cluster.object_path(artifact["uri"]), stage(artifact["uri"], pod)
                target.parent.mkdir(parents=True, exist_ok=True)
                if source.exists():  # A folder without files was never there, which is no error.
                    _copy(source, target)
        for listed in executor_input["outputs"].get("artifacts", {}).values():
            for artifact in listed["artifacts"]:
                stage(artifact["uri"], pod).parent.mkdir(parents=True, exist_ok=True)
        for parameter in executor_input["outputs"].get("parameters", {}).values():
            Path(parameter["outputFile"]).parent.mkdir(parents=True, exist_ok=True)

    def _start(
        self,
        container: Mapping[str, Any],
        platform: Mapping[str, Any],
        executor_input: Mapping[str, Any],
        pod: Path,
    ) -> Finished:
        labels = {"pipeline/runid": self._run_id}
        built = Container(container, platform, executor_input, pod, labels, self._cluster.secrets)
        return self._cluster.runtime.run(built)

    def _collect(
        self, executor_input: Mapping[str, Any], component: Mapping[str, Any], pod: Path
    ) -> TaskOutcome:
        file = Path(executor_input["outputs"]["outputFile"])
        output = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        unknown = set(output) - {"parameters", "artifacts", "parameterValues"}
        assert not unknown, f"the launcher knows no {unknown} of an ExecutorOutput"
        outcome = TaskOutcome("succeeded")
        for key, listed in executor_input["outputs"].get("artifacts", {}).items():
            artifact = dict(listed["artifacts"][0])
            for said in output.get("artifacts", {}).get(key, {}).get("artifacts", [])[:1]:
                artifact["uri"] = said.get("uri") or artifact["uri"]
                artifact["metadata"] = {**artifact["metadata"], **said.get("metadata", {})}
            local = stage(artifact["uri"], pod)
            if local.exists():
                _copy(local, self._cluster.object_path(artifact["uri"]))
            artifact["name"] = str(uuid.uuid4())
            # What the backend's own records add, and hand to the next step.
            artifact["metadata"] |= {"display_name": key, "store_session_info": '{"Provider": "minio"}'}
            outcome.artifacts[key] = [artifact]
        for key, declared in executor_input["outputs"].get("parameters", {}).items():
            values = output.get("parameterValues", {})
            if key not in values:
                values[key] = Path(declared["outputFile"]).read_text(encoding="utf-8")
            outcome.parameters[key] = values[key]
        return outcome


def stage(uri: str, pod: Path) -> Path:
    """Returns where the launcher stages a URI."""
    scheme, _, path = uri.partition("://")
    return pod / {"minio": "minio", "s3": "s3", "gs": "gcs"}[scheme] / path


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        # An object store has no empty folders.
        for path in source.rglob("*"):
            if path.is_file():
                _copy(path, target / path.relative_to(source))
    else:
        shutil.copyfile(source, target)


def _fingerprint(
    inputs: TaskInputs,
    component: Mapping[str, Any],
    container: Mapping[str, Any],
    platform: Mapping[str, Any],
) -> str:
    """Returns the backend's key: names of input artifacts, values, kinds of outputs, and the container."""
    outputs = component.get("outputDefinitions", {})
    key = {
        "inputArtifactNames": {
            name: [one["name"] for one in found] for name, found in inputs.artifacts.items()
        },
        "inputParameterValues": inputs.parameters,
        "outputArtifactsSpec": {
            name: one["artifactType"] for name, one in outputs.get("artifacts", {}).items()
        },
        "outputParametersSpec": {
            name: one["parameterType"] for name, one in outputs.get("parameters", {}).items()
        },
        "image": container["image"],
        "cmdArgs": [*container["command"], *container["args"]],
        "env": container.get("env", []),
        "pvcNames": [one.get("constant") for one in platform.get("pvcMount", [])],
    }
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
