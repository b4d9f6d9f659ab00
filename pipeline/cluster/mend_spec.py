"""What TFX's compiler leaves to be done for an open-source backend: small steps, each in place.

A specification is the dictionary of a PipelineSpec (schema 2.1.0), as protobuf's JSON has it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from data.object_store import S3_ENDPOINT_VARIABLES
from pipeline.cluster.config import NEVER_CACHED, StepConfig
from pipeline.cluster.prepare_properties import SCHEMA_FILE, TEXT_MARK
from pipeline.cluster.runtime_parameters import RuntimeParameter
from pipeline.config import PipelineConfig
from pipeline.store_address import STORE_VARIABLE

Spec = dict[str, Any]

COMMAND = ["python", "-m", "pipeline.cluster.entrypoint"]
RUN_ID_VARIABLE = "DECONVFLOW_RUN_ID"
SCHEMA_VERSION = "2.1.0"

CONFIGURED_NODE = "DatasetSnapshot"
"""The step that records the whole configuration: the first one, which is never cached, so that no other
one's place in the cache depends on keys that are not its own."""

_TFX_SUFFIX = "_task"
_TFX_ARGUMENTS = 6
"""Class, invocation and inputs, each with its option's name; Beam's arguments follow."""
_READABLE = ("data_config", "evaluation_config", "gate_config", "pipeline_config")
_MULTIPLES = {"K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18}
_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}


def tasks_of(spec: Spec) -> dict[str, Any]:
    """Returns the tasks of the root DAG by name."""
    tasks: dict[str, Any] = spec["root"]["dag"]["tasks"]
    return tasks


def container_of(spec: Spec, node: str) -> dict[str, Any]:
    """Returns the container of a node."""
    label = spec["components"][node]["executorLabel"]
    container: dict[str, Any] = spec["deploymentSpec"]["executors"][label]["container"]
    return container


def set_header(spec: Spec, pipeline_root: str, version: str, description: str) -> None:
    """Says what the specification is and where its artifacts go."""
    spec["schemaVersion"] = SCHEMA_VERSION
    spec["sdkVersion"] = f"deconvflow-{version}"
    spec["defaultPipelineRoot"] = pipeline_root
    spec["pipelineInfo"]["description"] = description


def mend_producers(spec: Spec) -> None:
    """Names producers of parameters by their task's key; TFX appends something to it."""
    tasks = tasks_of(spec)
    for task in tasks.values():
        for value in task.get("inputs", {}).get("parameters", {}).values():
            source = value.get("taskOutputParameter")
            if source and source["producerTask"] not in tasks:
                source["producerTask"] = source["producerTask"].removesuffix(_TFX_SUFFIX)


def inline_schema(spec: Spec) -> None:
    """Puts the curated schema's text in the place of its path on the compiling machine."""
    for task in tasks_of(spec).values():
        parameter = task.get("inputs", {}).get("parameters", {}).get(SCHEMA_FILE)
        if parameter:
            path = Path(parameter["runtimeValue"]["constant"])
            parameter["runtimeValue"]["constant"] = TEXT_MARK + path.read_text(encoding="utf-8")


def indent_configurations(spec: Spec) -> None:
    """Lays sections of the configuration out a line a key, for those who review the file."""
    for task in tasks_of(spec).values():
        parameters = task.get("inputs", {}).get("parameters", {})
        for name in set(parameters) & set(_READABLE):
            value = parameters[name]["runtimeValue"]
            value["constant"] = json.dumps(json.loads(value["constant"]), indent=1, sort_keys=True)


def add_parameters(spec: Spec, parameters: Iterable[RuntimeParameter]) -> None:
    """Makes runtime parameters inputs of the pipeline, with defaults, and of the steps that read them."""
    tasks = tasks_of(spec)
    for parameter in parameters:
        definitions = spec["root"].setdefault("inputDefinitions", {}).setdefault("parameters", {})
        definitions[parameter.name] = {
            "parameterType": parameter.type,
            "defaultValue": parameter.default,
            "isOptional": True,
            "description": f"{parameter.description} ({parameter.key})",
        }
        for node in (node for node in parameter.readers if node in tasks):
            component = spec["components"][node].setdefault("inputDefinitions", {})
            component.setdefault("parameters", {})[parameter.name] = {"parameterType": parameter.type}
            inputs = tasks[node].setdefault("inputs", {}).setdefault("parameters", {})
            inputs[parameter.name] = {"componentInputParameter": parameter.name}


def set_command(
    spec: Spec,
    node: str,
    parameters: Iterable[RuntimeParameter],
    pipeline_root: str,
    configuration: str,
) -> None:
    """Runs a step by our entrypoint (the package's docstring says what it is told)."""
    container = container_of(spec, node)
    arguments = container["args"]
    own = ["--node_id", node, "--pipeline_name", spec["pipelineInfo"]["name"]]
    own += ["--pipeline_root", pipeline_root, "--run_id", f"$({RUN_ID_VARIABLE})"]
    if node == CONFIGURED_NODE:
        own += ["--configuration", configuration]
    for parameter in parameters:
        if node in parameter.readers:
            own += ["--override", f"{parameter.key}={parameter.placeholder}"]
    container["command"] = list(COMMAND)
    container["args"] = [*arguments[:_TFX_ARGUMENTS], *own, *arguments[_TFX_ARGUMENTS:]]


def set_environment(spec: Spec, node: str, variables: Mapping[str, str]) -> None:
    """Gives a step environment variables, none of them secret."""
    if variables:
        container_of(spec, node)["env"] = [
            {"name": name, "value": variables[name]} for name in sorted(variables)
        ]


def set_resources(spec: Spec, node: str, step: StepConfig) -> None:
    """Asks for cores, memory and accelerators, for backends old (numbers) and new (texts)."""
    resources: dict[str, Any] = {}
    wanted: tuple[tuple[str, str | None, Callable[[str], float]], ...] = (
        ("CpuRequest", step.cpu, _cores),
        ("CpuLimit", step.cpu_limit, _cores),
        ("MemoryRequest", step.memory, _gigabytes),
        ("MemoryLimit", step.memory_limit or step.memory, _gigabytes),
    )
    for name, text, to_number in wanted:
        if text is not None:
            resources[f"resource{name}"] = text
            resources[name[0].lower() + name[1:]] = to_number(text)
    if step.accelerator is not None:
        kind, count = step.accelerator.type, str(step.accelerator.count)
        resources["accelerator"] = {
            "type": kind,
            "count": count,
            "resourceType": kind,
            "resourceCount": count,
        }
    if resources:
        container_of(spec, node)["resources"] = resources


def set_policies(spec: Spec, node: str, step: StepConfig) -> None:
    """Says whether a step may come from the cache, and how often it is tried again."""
    task = tasks_of(spec)[node]
    task["cachingOptions"] = {"enableCache": True} if step.cache and node not in NEVER_CACHED else {}
    if step.retries:
        task["retryPolicy"] = {
            "maxRetryCount": step.retries,
            "backoffDuration": f"{step.retry_after_seconds}s",
            "backoffFactor": 2.0,
            "backoffMaxDuration": "3600s",
        }


def variables_of(config: PipelineConfig, node: str, store: str | None) -> dict[str, str]:
    """Returns the environment variables of a step.

    ``storage.s3_endpoint_url`` stands before the AWS_ENDPOINT_URL of all services, and a step's own
    AWS_ENDPOINT_URL_S3 before both.
    """
    variables = dict(config.kubeflow.step(node).environment)
    if config.storage.s3_endpoint_url:
        variables.setdefault(S3_ENDPOINT_VARIABLES[0], config.storage.s3_endpoint_url)
    return variables | ({STORE_VARIABLE: store} if store else {})


def _cores(text: str) -> float:
    return float(text.removesuffix("m")) / 1000 if text.endswith("m") else float(text)


def _gigabytes(text: str) -> float:
    number = text.rstrip("KMGTPEi")
    unit = text[len(number) :]
    return int(number) * {**_MULTIPLES, **_BINARY, "": 1}[unit] / 1e9
