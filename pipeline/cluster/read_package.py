"""Reads what is to be submitted: a compiled pipeline.yaml, or a configuration, and runtime parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from data.errors import Problem, RefusedError
from data.parse_json import parse_json

_TYPES = {
    "NUMBER_INTEGER": "a whole number",
    "NUMBER_DOUBLE": "a number",
    "BOOLEAN": "true or false",
    "STRING": "a text",
    "LIST": "a list in JSON",
    "STRUCT": "an object in JSON",
}


@dataclass(frozen=True)
class Package:
    """A compiled pipeline that was read and found sound."""

    text: str
    spec: dict[str, Any]
    store: str | None = None
    """``metadata.store`` of the configuration it was compiled from, where that is known."""

    @property
    def name(self) -> str:
        """The pipeline's."""
        return str(self.spec["pipelineInfo"]["name"])

    @property
    def steps(self) -> tuple[str, ...]:
        """The names of its tasks."""
        return tuple(self.spec.get("root", {}).get("dag", {}).get("tasks", {}))

    @property
    def parameter_types(self) -> dict[str, str]:
        """Its runtime parameters and their types."""
        inputs = self.spec.get("root", {}).get("inputDefinitions", {}).get("parameters", {})
        return {name: str(facts.get("parameterType", "STRING")) for name, facts in inputs.items()}


def read_package(file: Path | None, config: Path | None, overrides: Sequence[str]) -> Package:
    """Reads a compiled file, or compiles a configuration; either is linted.

    Raises:
        RefusedError: if neither or both are named, or what is named would not run.
    """
    if (file is None) == (config is None):
        what = "are both given" if file is not None else "are both missing"
        remedy = "Give the compiled pipeline.yaml, or the configuration to compile"
        raise RefusedError([Problem("FILE and --config", what, remedy, "bad_package")])
    if file is not None:
        if overrides:
            remedy = "Compile again with it, or give a runtime parameter by --param"
            raise RefusedError(
                [Problem("--set", "changes a configuration, not a compiled file", remedy, "bad_package")]
            )
        return open_package(file)
    assert config is not None
    return compile_package(config, overrides)


def compile_package(config: Path, overrides: Sequence[str]) -> Package:
    """Compiles a configuration.

    Raises:
        RefusedError: if the configuration, or what comes of it, is refused.
    """
    from pipeline.cluster.compile_command import compile_and_lint
    from pipeline.config import load_config

    loaded = load_config(config, overrides)
    compiled = compile_and_lint(loaded)
    return Package(compiled.to_yaml(), compiled.spec, loaded.metadata.store)


def open_package(file: Path) -> Package:
    """Reads a compiled pipeline.

    Raises:
        RefusedError: if it is none, or the linter finds something.
    """
    from pipeline.cluster.lint_spec import lint_documents, read_documents

    documents = read_documents(file)
    if problems := lint_documents(documents):
        raise RefusedError([replace(one, where=f"{file}: {one.where}") for one in problems])
    return Package(file.read_text(encoding="utf-8"), documents[0])


def read_parameters(package: Package, given: Sequence[str]) -> dict[str, Any]:
    """Reads ``KEY=VALUE`` by the types that the pipeline declares.

    Raises:
        RefusedError: for every one that is unknown or of another type.
    """
    types = package.parameter_types
    values: dict[str, Any] = {}
    problems = []
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key:
            problems.append(_bad(text, "is not KEY=VALUE", "Give it as --param trainer_epochs=20"))
        elif key not in types:
            known = ", ".join(sorted(types)) or "none at all"
            problems.append(_bad(key, "is no runtime parameter of this pipeline", f"It has {known}"))
        else:
            try:
                values[key] = _convert(value, types[key])
            except ValueError:
                kind = _TYPES.get(types[key], types[key])
                problems.append(_bad(key, f"must be {kind}, not {value!r}", f"Give {kind}"))
    if problems:
        raise RefusedError(problems)
    return values


def _bad(where: str, what: str, remedy: str) -> Problem:
    return Problem(f"--param {where}", what, remedy, "bad_parameter")


def _convert(text: str, kind: str) -> Any:
    if kind == "NUMBER_INTEGER":
        return int(text)
    if kind == "NUMBER_DOUBLE":
        number = float(text)
        if number != number or number in (float("inf"), float("-inf")):
            raise ValueError(text)
        return number
    if kind == "BOOLEAN":
        if text.lower() not in ("true", "false"):
            raise ValueError(text)
        return text.lower() == "true"
    if kind in ("LIST", "STRUCT"):
        value = parse_json(text)
        if not isinstance(value, list if kind == "LIST" else dict):
            raise ValueError(text)
        return value
    return text
