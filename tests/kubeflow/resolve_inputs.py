"""What the backend's driver does with a task's inputs, and with its condition."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class TaskInputs:
    """Inputs with their values; artifacts as a RuntimeArtifact's JSON."""

    parameters: dict[str, Any]
    artifacts: dict[str, list[dict[str, Any]]]


def list_producers(task: Mapping[str, Any]) -> set[str]:
    """Returns the tasks that one waits for."""
    inputs = task.get("inputs", {})
    found = set(task.get("dependentTasks", []))
    for value in inputs.get("parameters", {}).values():
        if "taskOutputParameter" in value:
            found.add(value["taskOutputParameter"]["producerTask"])
    for value in inputs.get("artifacts", {}).values():
        found.add(value["taskOutputArtifact"]["producerTask"])
    return found


def resolve_inputs(
    task: Mapping[str, Any],
    component: Mapping[str, Any],
    root_values: Mapping[str, Any],
    outcomes: Mapping[str, Any],
) -> TaskInputs:
    """Returns the values of a task's inputs.

    Args:
        task: of the root DAG.
        component: its component.
        root_values: the run's parameters.
        outcomes: of the tasks before, by name.
    """
    definitions = component.get("inputDefinitions", {})
    inputs = task.get("inputs", {})
    parameters = {}
    for name, value in inputs.get("parameters", {}).items():
        assert name in definitions.get("parameters", {}), f"{name} is no input of the component"
        if "runtimeValue" in value:
            parameters[name] = value["runtimeValue"]["constant"]
        elif "componentInputParameter" in value:
            if value["componentInputParameter"] in root_values:
                parameters[name] = root_values[value["componentInputParameter"]]
        else:
            source = value["taskOutputParameter"]
            parameters[name] = outcomes[source["producerTask"]].parameters[source["outputParameterKey"]]
    for name, declared in definitions.get("parameters", {}).items():
        if name not in parameters and "defaultValue" in declared:
            parameters[name] = declared["defaultValue"]
    artifacts = {}
    for name, value in inputs.get("artifacts", {}).items():
        source = value["taskOutputArtifact"]
        artifacts[name] = outcomes[source["producerTask"]].artifacts[source["outputArtifactKey"]]
    return TaskInputs(parameters, artifacts)


_COMPARISON = re.compile(
    r"inputs\.parameter_values\['(\w+)'\]\s*(==|!=)\s*(?:'([^']*)'|(-?[\d.]+|true|false))"
)


def holds(condition: str, parameters: Mapping[str, Any]) -> bool:
    """Says whether a condition is true; knows comparisons of parameters, joined by ``&&``."""
    return all(_compare(part.strip(), parameters) for part in condition.split("&&") if part.strip())


def _compare(text: str, parameters: Mapping[str, Any]) -> bool:
    match = _COMPARISON.fullmatch(text)
    assert match, f"this stand-in knows no condition {text!r}"
    name, operator, quoted, plain = match.groups()
    expected: Any = quoted
    if quoted is None:
        expected = plain == "true" if plain in ("true", "false") else float(plain)
    return (parameters[name] == expected) == (operator == "==")
