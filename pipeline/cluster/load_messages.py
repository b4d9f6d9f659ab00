"""Imports kfp's messages without its client and its compiler, which take seconds."""

from __future__ import annotations

import importlib
import os
from types import ModuleType

_SWITCH = "_KFP_RUNTIME"
"""kfp's own: where it is true, importing kfp imports neither its client nor its compiler."""


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
