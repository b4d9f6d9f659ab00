"""Whether a compiled pipeline is made of known fields of the right types. Imports kfp, not TFX."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from data.errors import Problem
from pipeline.cluster.load_messages import load_kubernetes_messages, load_pipeline_messages
from pipeline.cluster.spec_rules import problem

_REMEDY = "Remove it or mend it: the server reads the fields it knows and nothing else"


def find_message_problems(spec: dict[str, Any], platforms: dict[str, Any] | None) -> Iterator[Problem]:
    """Yields a problem for each message that protobuf refuses."""
    pipeline_spec_pb2 = load_pipeline_messages()
    kubernetes_executor_config_pb2 = load_kubernetes_messages()
    yield from _parse("specification", spec, pipeline_spec_pb2.PipelineSpec())
    deployment = spec.get("deploymentSpec")
    if isinstance(deployment, dict):
        message = pipeline_spec_pb2.PipelineDeploymentConfig()
        yield from _parse("deploymentSpec", deployment, message)
    if platforms is None:
        return
    found = list(_parse("platform document", platforms, pipeline_spec_pb2.PlatformSpec()))
    yield from found
    if found:
        return
    for name, platform in platforms.get("platforms", {}).items():
        if name != "kubernetes":
            yield problem(f"platforms.{name}", "is no platform of the backend", "Leave kubernetes only")
            continue
        for label, step in platform.get("deploymentSpec", {}).get("executors", {}).items():
            where = f"platforms.kubernetes.deploymentSpec.executors.{label}"
            yield from _parse(where, step, kubernetes_executor_config_pb2.KubernetesExecutorConfig())


def _parse(where: str, tree: Any, message: Message) -> Iterator[Problem]:
    try:
        json_format.ParseDict(tree, message, ignore_unknown_fields=False)
    except (json_format.ParseError, TypeError, ValueError, AttributeError) as error:
        said = " ".join(str(error).split()).partition(" Available Fields")[0]
        yield problem(where, f"has a field that is unknown or of a wrong type: {said[:300]}", _REMEDY)
