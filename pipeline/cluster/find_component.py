"""From an executor's class, which is all that a compiled step names, to the component it belongs to."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from ml_metadata.proto import metadata_store_pb2 as pb
from tfx.dsl.components.base.base_component import BaseComponent

from components.content_driver import ContentDriver


def find_component(executor_class: type) -> type[BaseComponent] | None:
    """Returns the component whose executor this is; None if its module has none.

    A component stands in the module of its executor or, as TFX has it, in ``component.py`` beside it.
    """
    for name in _list_modules(executor_class.__module__):
        for value in vars(importlib.import_module(name)).values():
            if isinstance(value, type) and issubclass(value, BaseComponent):
                spec = getattr(value, "EXECUTOR_SPEC", None)
                if getattr(spec, "executor_class", None) is executor_class:
                    return value
    return None


def build_execution_type(executor_class: type, component: type[BaseComponent] | None) -> pb.ExecutionType:
    """Returns the type of a component's executions in ML Metadata, as TFX's compiler names it."""
    named = component or executor_class
    execution_type = pb.ExecutionType(name=f"{named.__module__}.{named.__qualname__}")
    annotation = getattr(component, "TYPE_ANNOTATION", None)
    if annotation is not None:
        execution_type.base_type = annotation.MLMD_SYSTEM_BASE_TYPE
    return execution_type


def make_driver(component: type[BaseComponent] | None) -> ContentDriver | None:
    """Returns the driver that looks at the world for a component, where it has such a one."""
    driver: Any = getattr(component, "DRIVER_CLASS", None)
    if isinstance(driver, type) and issubclass(driver, ContentDriver):
        return driver(metadata_handle=None)
    return None


def _list_modules(executor_module: str) -> Iterator[str]:
    yield executor_module
    package, _, name = executor_module.rpartition(".")
    if name == "executor" and find_spec(f"{package}.component") is not None:
        yield f"{package}.component"
