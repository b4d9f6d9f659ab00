"""Imports of the cluster's libraries without what takes seconds and is not needed."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from types import ModuleType

_SWITCH = "_KFP_RUNTIME"
"""kfp's own: where it is true, importing kfp imports neither its client nor its compiler."""

_VALIDATOR = "kubernetes_validate"


@contextlib.contextmanager
def without_validator() -> Iterator[None]:
    """Keeps Kubernetes' client from importing an optional package of the tests, which takes it seconds.

    TFX imports that client with its components.
    """
    absent = _VALIDATOR not in sys.modules
    if absent:
        sys.modules[_VALIDATOR] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if absent:
            del sys.modules[_VALIDATOR]


def load_pipeline_messages() -> ModuleType:
    """Returns ``pipeline_spec_pb2``; whoever imports ``kfp.client`` afterwards gets it in full."""
    before = os.environ.get(_SWITCH)
    os.environ[_SWITCH] = "true"
    try:
        return importlib.import_module("kfp.pipeline_spec.pipeline_spec_pb2")
    finally:
        if before is None:
            del os.environ[_SWITCH]
        else:
            os.environ[_SWITCH] = before


def load_kubernetes_messages() -> ModuleType:
    """Returns ``kubernetes_executor_config_pb2``."""
    load_pipeline_messages()
    return importlib.import_module("kfp.kubernetes.kubernetes_executor_config_pb2")
