"""The schemas of artifact types in a compiled pipeline.

TFX has schemas for its own types and refuses ours: it wants a custom type's name to be its import path,
and allows it no properties.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import yaml
from tfx.orchestration.kubeflow.v2 import compiler_utils
from tfx.types import artifact

from components import artifact_types

_NAMESPACE = "deconvflow"
_YAML_TYPES = {
    artifact.PropertyType.INT: "integer",
    artifact.PropertyType.FLOAT: "number",
    artifact.PropertyType.STRING: "string",
}
_OWN_TYPES = (
    artifact_types.DatasetSnapshotArtifact,
    artifact_types.DataGateReport,
    artifact_types.RunReportPage,
)
CLASS_PATHS = {f"{_NAMESPACE}.{own.TYPE_NAME}": f"{own.__module__}.{own.__qualname__}" for own in _OWN_TYPES}
"""Schema titles of our types, and the classes that they stand for."""

_build_tfx_schema = compiler_utils.get_artifact_schema


def build_schema(artifact_type: type[artifact.Artifact]) -> str:
    """Returns the YAML schema of a type, TFX's or ours."""
    if artifact_type not in _OWN_TYPES:
        schema = _build_tfx_schema(artifact_type)
        return schema.decode() if isinstance(schema, bytes) else schema
    properties = {
        name: {"type": _YAML_TYPES[declared.type]}
        for name, declared in (artifact_type.PROPERTIES or {}).items()
    }
    schema = {"title": f"{_NAMESPACE}.{artifact_type.TYPE_NAME}", "type": "object"}
    return yaml.safe_dump(schema | ({"properties": properties} if properties else {}), sort_keys=False)


@contextlib.contextmanager
def own_schemas() -> Iterator[None]:
    """Lets TFX's compiler take the schemas of our types."""
    compiler_utils.get_artifact_schema = build_schema
    try:
        yield
    finally:
        compiler_utils.get_artifact_schema = _build_tfx_schema
