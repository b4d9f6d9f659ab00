"""What an open-source Kubeflow Pipelines backend (2.x) would refuse in a compiled pipeline.

The rules are those of its API server, its compiler to Argo, its driver and its launcher. Imports no TFX.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data.errors import Problem, RefusedError
from pipeline.cluster.lint_containers import find_container_problems
from pipeline.cluster.lint_messages import find_message_problems
from pipeline.cluster.lint_tasks import find_task_problems
from pipeline.cluster.mend_spec import SCHEMA_VERSION
from pipeline.cluster.spec_rules import NAME, compiled_wrong, problem
from pipeline.read_yaml import YamlError, parse_documents

_MAX_FILE_BYTES = 20_000_000
_HOW_TO_COMPILE = "Compile it with `deconvflow kubeflow compile`"


def read_documents(path: Path) -> list[Any]:
    """Returns the documents of a compiled pipeline's file.

    Raises:
        RefusedError: if it cannot be read or is no YAML.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(_MAX_FILE_BYTES + 1)
        if len(content) > _MAX_FILE_BYTES:
            raise RefusedError([Problem(str(path), "is larger than 20 MB", _HOW_TO_COMPILE, "bad_spec")])
        return [document for document in parse_documents(content.decode("utf-8")) if document is not None]
    except YamlError as error:
        what = f"is not valid YAML: {str(error)[:200]}"
        raise RefusedError([Problem(str(path), what, _HOW_TO_COMPILE, "bad_spec")]) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8 text"
        raise RefusedError([Problem(str(path), reason, "Name a compiled pipeline", "bad_spec")]) from None


def lint_documents(documents: list[Any]) -> list[Problem]:
    """Returns all that the backend would refuse; each problem's place is a path into a document."""
    if not documents or not all(isinstance(document, dict) for document in documents):
        return [problem("file", "holds no pipeline specification", _HOW_TO_COMPILE)]
    spec = documents[0]
    if "pipelineSpec" in spec:
        what = "is a PipelineJob, which only Google's managed service takes"
        return [problem("pipelineSpec", what, "Submit what is below pipelineSpec, as YAML")]
    if "platforms" in spec:
        return [problem("document 1", "is the platform document", "Put the pipeline's specification first")]
    if len(documents) > 2:
        what = f"there are {len(documents)} documents"
        return [problem("file", what, "Leave the specification and the platform document")]
    platforms = documents[1] if len(documents) == 2 else None
    # What has unknown fields or wrong types cannot be followed further.
    return list(find_message_problems(spec, platforms)) or list(_find_problems(spec, platforms))


def _find_problems(spec: dict[str, Any], platforms: dict[str, Any] | None) -> Iterator[Problem]:
    yield from _find_header_problems(spec)
    yield from find_task_problems(spec)
    yield from find_container_problems(spec)
    executors = spec.get("deploymentSpec", {}).get("executors", {})
    kubernetes = (platforms or {}).get("platforms", {}).get("kubernetes", {})
    for label in kubernetes.get("deploymentSpec", {}).get("executors", {}):
        if label not in executors:
            where = f"platforms.kubernetes.deploymentSpec.executors.{label}"
            yield problem(where, "is for an executor that the pipeline does not have", "Remove it")


def _find_header_problems(spec: dict[str, Any]) -> Iterator[Problem]:
    version = spec.get("schemaVersion")
    if version != SCHEMA_VERSION:
        what = f"is {version}" if version else "is missing"
        yield problem("schemaVersion", f"{what}; the server takes {SCHEMA_VERSION} only", compiled_wrong())
    name = spec.get("pipelineInfo", {}).get("name", "")
    if not NAME.fullmatch(name):
        what = f"is {name!r}: not lower case letters, digits and dashes, 128 at most"
        yield problem("pipelineInfo.name", what, "Change the key name of the configuration")
    if not spec.get("root", {}).get("dag", {}).get("tasks"):
        yield problem("root.dag.tasks", "there are none", _HOW_TO_COMPILE)
