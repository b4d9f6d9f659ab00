"""Whether the tasks of a compiled pipeline fit together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from data.errors import Problem
from pipeline.cluster.spec_rules import (
    TASK_NAME,
    fits,
    inputs_of,
    list_dags,
    outputs_of,
    problem,
)
from pipeline.read_yaml import YamlError, parse_yaml

_PARAMETER_TYPES = {"NUMBER_INTEGER", "NUMBER_DOUBLE", "STRING", "BOOLEAN", "LIST", "STRUCT"}
_NAME_REMEDY = "Name it with letters, digits and dashes, 120 at most"


def find_task_problems(spec: dict[str, Any]) -> Iterator[Problem]:
    """Yields the problems of every component and every DAG."""
    components = spec.get("components", {})
    executors = spec.get("deploymentSpec", {}).get("executors", {})
    for name, component in components.items():
        where = f"components.{name}"
        if "dag" not in component and component.get("executorLabel") not in executors:
            what = f"runs the executor {component.get('executorLabel')}, which does not exist"
            yield problem(f"{where}.executorLabel", what, "Name one of deploymentSpec.executors")
        yield from _find_declaration_problems(where, component)
    yield from _find_declaration_problems("root", spec.get("root", {}))
    for where, component in list_dags(spec):
        tasks = component.get("dag", {}).get("tasks", {})
        for name, task in tasks.items():
            yield from _find_reference_problems(f"{where}.dag.tasks.{name}", task, tasks, components)
            yield from _find_input_problems(f"{where}.dag.tasks.{name}", task, component, components, tasks)
            if not TASK_NAME.fullmatch(name):
                yield problem(f"{where}.dag.tasks.{name}", "has a name that Argo refuses", _NAME_REMEDY)
        if circle := _find_circle(tasks):
            what = f"there is a circle: {' -> '.join(circle)}"
            yield problem(f"{where}.dag.tasks", what, "Break it")


def _find_declaration_problems(where: str, component: dict[str, Any]) -> Iterator[Problem]:
    for side, declared in (
        ("inputDefinitions", inputs_of(component, "parameters")),
        ("outputDefinitions", outputs_of(component, "parameters")),
    ):
        for name, parameter in declared.items():
            place = f"{where}.{side}.parameters.{name}"
            kind = parameter.get("parameterType")
            if kind not in _PARAMETER_TYPES:
                what = f"has the parameterType {kind}; schema 2.1.0 has {', '.join(sorted(_PARAMETER_TYPES))}"
                yield problem(place, what, "Give it one of these, and leave the older key type out")
            elif "defaultValue" in parameter and not fits(parameter["defaultValue"], kind):
                what = f"has the default {parameter['defaultValue']!r}, which is no {kind}"
                yield problem(place, what, "Change the default or the type")
    for artifacts in (inputs_of(component, "artifacts"), outputs_of(component, "artifacts")):
        for name, artifact in artifacts.items():
            schema = artifact.get("artifactType", {})
            text = schema.get("instanceSchema")
            if not schema.get("schemaTitle") and not (text and _has_title(text)):
                what = "has a type without a title, at which the launcher stops"
                yield problem(f"{where}.artifacts.{name}", what, "Give its schema a title")


def _has_title(schema: str) -> bool:
    try:
        tree = parse_yaml(schema)
    except YamlError:
        return False
    return isinstance(tree, dict) and bool(tree.get("title"))


def _find_reference_problems(
    where: str, task: dict[str, Any], tasks: dict[str, Any], components: dict[str, Any]
) -> Iterator[Problem]:
    if task.get("componentRef", {}).get("name") not in components:
        what = f"runs the component {task.get('componentRef', {}).get('name')}, which does not exist"
        yield problem(f"{where}.componentRef", what, "Name one of components")
    for name in task.get("dependentTasks", []):
        if name not in tasks:
            what = f"waits for the task {name}, which does not exist"
            yield problem(f"{where}.dependentTasks", what, _closest(name, tasks))
    for place, source, output, side in _sources(task):
        if source not in tasks:
            what = f"comes from the task {source}, which does not exist"
            yield problem(f"{where}.inputs.{place}", what, _closest(source, tasks))
            continue
        producer = components.get(tasks[source].get("componentRef", {}).get("name"), {})
        if output not in outputs_of(producer, side):
            what = f"comes from the output {output} of {source}, which has none of that name"
            remedy = f"Name one of: {', '.join(sorted(outputs_of(producer, side))) or 'none'}"
            yield problem(f"{where}.inputs.{place}", what, remedy)


def _closest(name: str, tasks: dict[str, Any]) -> str:
    plain = name.removesuffix("_task")
    if plain in tasks:
        return f"Name the task {plain}: TFX's compiler appends _task"
    return f"Name one of: {', '.join(sorted(tasks))}"


def _sources(task: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Yields place, producing task, output and kind of what comes from other tasks."""
    inputs = task.get("inputs", {})
    for name, value in inputs.get("parameters", {}).items():
        if source := value.get("taskOutputParameter"):
            place = f"parameters.{name}"
            yield place, source.get("producerTask", ""), source.get("outputParameterKey", ""), "parameters"
    for name, value in inputs.get("artifacts", {}).items():
        if source := value.get("taskOutputArtifact"):
            place = f"artifacts.{name}"
            yield place, source.get("producerTask", ""), source.get("outputArtifactKey", ""), "artifacts"


def _find_input_problems(
    where: str,
    task: dict[str, Any],
    parent: dict[str, Any],
    components: dict[str, Any],
    tasks: dict[str, Any],
) -> Iterator[Problem]:
    component = components.get(task.get("componentRef", {}).get("name"), {})
    for side in ("parameters", "artifacts"):
        declared, given = inputs_of(component, side), task.get("inputs", {}).get(side, {})
        for name in sorted(set(given) - set(declared)):
            what = "is given, but is no input of the component"
            yield problem(f"{where}.inputs.{side}.{name}", what, "Declare it there, or leave it out")
        for name in sorted(set(declared) - set(given)):
            if not declared[name].get("isOptional") and "defaultValue" not in declared[name]:
                what = "is an input of the component that gets no value"
                yield problem(f"{where}.inputs.{side}.{name}", what, "Give it one")
        for name in sorted(set(given) & set(declared)):
            place, key = f"{where}.inputs.{side}.{name}", f"componentInput{side[:-1].capitalize()}"
            outer = given[name].get(key)
            if outer is not None and outer not in inputs_of(parent, side):
                what = f"comes from the pipeline's input {outer}, which does not exist"
                yield problem(place, what, "Declare it in root.inputDefinitions")
    yield from _find_type_problems(where, task, parent, component, components, tasks)


def _find_type_problems(
    where: str,
    task: dict[str, Any],
    parent: dict[str, Any],
    component: dict[str, Any],
    components: dict[str, Any],
    tasks: dict[str, Any],
) -> Iterator[Problem]:
    declared = inputs_of(component, "parameters")
    for name, value in task.get("inputs", {}).get("parameters", {}).items():
        place, kind = f"{where}.inputs.parameters.{name}", declared.get(name, {}).get("parameterType")
        if kind is None:
            continue
        constant = value.get("runtimeValue", {}).get("constant")
        if constant is not None and not fits(constant, kind):
            what = f"is {constant!r:.80}, and the component takes a {kind}"
            yield problem(place, what, "Change the value or the type")
        other = None
        if outer := value.get("componentInputParameter"):
            other = inputs_of(parent, "parameters").get(outer, {}).get("parameterType")
        elif source := value.get("taskOutputParameter"):
            producer = tasks.get(source.get("producerTask"), {}).get("componentRef", {}).get("name")
            outputs = outputs_of(components.get(producer, {}), "parameters")
            other = outputs.get(source.get("outputParameterKey"), {}).get("parameterType")
        if other is not None and other != kind:
            what = f"is a {other}, and the component takes a {kind}"
            yield problem(place, what, "Make the two types the same")


def _find_circle(tasks: dict[str, Any]) -> list[str]:
    """Returns the tasks of one circle, the first of them again at its end; empty if there is none."""
    waits = {
        name: sorted({*task.get("dependentTasks", []), *(source for _, source, _, _ in _sources(task))})
        for name, task in tasks.items()
    }
    done: set[str] = set()
    for start in sorted(waits):
        path: list[str] = []
        stack = [(start, False)]
        while stack:
            name, leaving = stack.pop()
            if leaving:
                done.add(path.pop())
            elif name in path:
                return [*path[path.index(name) :], name]
            elif name not in done and name in waits:
                path.append(name)
                stack += [(name, True), *((other, False) for other in waits[name])]
    return []
