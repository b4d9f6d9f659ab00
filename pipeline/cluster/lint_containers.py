"""Whether the backend can run a compiled pipeline's executors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from data.errors import Problem
from pipeline.cluster.config import find_image_problem
from pipeline.cluster.pod_config import looks_secret
from pipeline.cluster.spec_rules import PARAMETER, compiled_wrong, inputs_of, list_containers, problem

_TFX_ENTRYPOINT = "kubeflow_v2_run_executor"
_PLACEHOLDER = re.compile(r"\{\{\$[^}]*\}\}")
_KNOWN_PLACEHOLDERS = re.compile(
    r"\{\{\$(\.inputs\.parameters\[.+\]|\.(inputs|outputs)\.artifacts\[.+\]\.(uri|path|metadata.*)"
    r"|\.outputs\.parameters\[.+\]\.output_file|\.outputs\.output_file)?\}\}"
)


def find_container_problems(spec: dict[str, Any]) -> Iterator[Problem]:
    """Yields the problems of every executor."""
    for label, executor in spec.get("deploymentSpec", {}).get("executors", {}).items():
        where = f"deploymentSpec.executors.{label}"
        if "resolver" in executor:
            what = "is a resolver, which the open-source backend does not run"
            yield problem(where, what, "Take what it resolves from a component such as BaselineModel")
        elif not {"container", "importer"} & set(executor):
            yield problem(where, "runs nothing", "Give it a container")
    for where, container in list_containers(spec):
        yield from _find_image_problems(where, container)
        yield from _find_command_problems(where, container)
        yield from _find_resource_problems(where, container.get("resources", {}))
        for variable in container.get("env", []):
            if looks_secret(variable.get("name", "")) and variable.get("value"):
                what = "looks like a secret in plain sight"
                yield problem(f"{where}.env.{variable['name']}", what, "Take it from a Kubernetes secret")
    yield from _find_placeholder_problems(spec)


def _find_image_problems(where: str, container: dict[str, Any]) -> Iterator[Problem]:
    image = container.get("image", "")
    if not image:
        yield problem(f"{where}.image", "is missing", "Set kubeflow.image")
    elif not PARAMETER.fullmatch(image) and (fault := find_image_problem(image)):
        remedy = "Name a version (registry/deconvflow:0.1.0) or a digest in kubeflow.image"
        yield problem(f"{where}.image", f"{image} {fault}", remedy)


def _find_command_problems(where: str, container: dict[str, Any]) -> Iterator[Problem]:
    command = container.get("command", [])
    if not command:
        # The launcher takes the place of the image's own entrypoint.
        yield problem(f"{where}.command", "is missing", "Name the program: an image's entrypoint is not run")
    if any(_TFX_ENTRYPOINT in part for part in command):
        what = "is TFX's own entrypoint, which opens minio:// and s3:// by TensorFlow, which cannot"
        yield problem(f"{where}.command", what, compiled_wrong())
    if container.get("lifecycle"):
        what = "is never run by the open-source backend, so no driver finds anything"
        yield problem(f"{where}.lifecycle.preCacheCheck", what, compiled_wrong())


def _find_resource_problems(where: str, resources: dict[str, Any]) -> Iterator[Problem]:
    accelerator = resources.get("accelerator")
    if not accelerator:
        return
    place = f"{where}.resources.accelerator"
    missing = [key for key in ("type", "count", "resourceType", "resourceCount") if not accelerator.get(key)]
    if missing:
        what = f"lacks {', '.join(missing)}: older backends read type and count, newer ones the others"
        yield problem(place, what, "Give all four, or use kubeflow.components.NODE.accelerator")
    elif accelerator["type"] != accelerator["resourceType"] or (
        str(accelerator["count"]) != str(accelerator["resourceCount"])
    ):
        what = "asks older backends for other devices than newer ones"
        yield problem(place, what, "Make type and resourceType, count and resourceCount the same")


def _find_placeholder_problems(spec: dict[str, Any]) -> Iterator[Problem]:
    """Finds placeholders that the launcher leaves as they are, so that programs are told `{{$...}}`."""
    executors = spec.get("deploymentSpec", {}).get("executors", {})
    for component in spec.get("components", {}).values():
        label = component.get("executorLabel", "")
        container = executors.get(label, {}).get("container", {})
        where = f"deploymentSpec.executors.{label}.container"
        parameters = inputs_of(component, "parameters")
        for text in [*container.get("command", []), *container.get("args", [])]:
            for name in PARAMETER.findall(text):
                if name not in parameters:
                    what = f"names the parameter {name}, which is no input of the component"
                    yield problem(f"{where}.args", what, "Declare it in the component's inputDefinitions")
            for found in _PLACEHOLDER.findall(text):
                if not _KNOWN_PLACEHOLDERS.fullmatch(found):
                    what = f"holds {found}, which the launcher does not replace in arguments"
                    remedy = "Take it from the environment (fieldPathAsEnv in the platform document)"
                    yield problem(f"{where}.args", what, remedy)
