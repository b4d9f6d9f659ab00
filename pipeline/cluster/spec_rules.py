"""Names, types and references of a pipeline's specification, for those that look for problems in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from data.errors import Problem

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,127}")
"""Of a pipeline, as the server checks it."""
TASK_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,118}[A-Za-z0-9])?")
"""Of a task: Argo's names of 128 characters, less what the backend appends (-driver)."""
PARAMETER = re.compile(r"\{\{\$\.inputs\.parameters\[['\"]([^'\"]+)['\"]\]\}\}")

_KINDS: dict[str, tuple[type, ...]] = {
    "NUMBER_INTEGER": (int, float),
    "NUMBER_DOUBLE": (int, float),
    "STRING": (str,),
    "BOOLEAN": (bool,),
    "LIST": (list,),
    "STRUCT": (dict,),
}


def problem(where: str, what: str, remedy: str) -> Problem:
    """Returns a problem of a compiled pipeline."""
    return Problem(where, what, remedy, "bad_spec")


def compiled_wrong() -> str:
    """Returns the remedy of what compilers get wrong, not people."""
    return "Compile it with `deconvflow kubeflow compile`, not with TFX's own runner"


def list_dags(spec: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the place and the component of every DAG, the root first."""
    yield "root", spec.get("root", {})
    for name, component in spec.get("components", {}).items():
        if "dag" in component:
            yield f"components.{name}", component


def list_containers(spec: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the place and the container of every executor that has one."""
    for label, executor in spec.get("deploymentSpec", {}).get("executors", {}).items():
        if "container" in executor:
            yield f"deploymentSpec.executors.{label}.container", executor["container"]


def fits(value: Any, kind: str) -> bool:
    """Says whether a value is of a parameter's type."""
    if isinstance(value, bool) and kind != "BOOLEAN":
        return False
    if kind == "NUMBER_INTEGER" and isinstance(value, float) and not value.is_integer():
        return False
    return isinstance(value, _KINDS.get(kind, ()))


def inputs_of(component: dict[str, Any], what: str) -> dict[str, Any]:
    """Returns a component's declared inputs: ``parameters`` or ``artifacts``."""
    declared: dict[str, Any] = component.get("inputDefinitions", {}).get(what, {})
    return declared


def outputs_of(component: dict[str, Any], what: str) -> dict[str, Any]:
    """Returns a component's declared outputs: ``parameters`` or ``artifacts``."""
    declared: dict[str, Any] = component.get("outputDefinitions", {}).get(what, {})
    return declared
