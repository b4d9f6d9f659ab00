"""A driver that lets TFX's cache judge a node by what it would find outside, not by its name.

TFX's cache key holds the input artifacts themselves, so a node that always runs hands every node
behind it a new key. A node that looks at the world (a data set, the served version) therefore looks
first in its driver, which puts what it found into the execution properties: the same finding is a
cache hit with the same output artifacts, and everything behind it stays cached. Kubeflow runs no
drivers: there the node is never cached and hands its finding on as a parameter.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_driver
from tfx.orchestration import metadata
from tfx.orchestration.portable import base_driver as portable_base_driver
from tfx.orchestration.portable import data_types
from tfx.proto.orchestration import driver_output_pb2


class ContentDriver(base_driver.BaseDriver, portable_base_driver.BaseDriver):
    """Base of such drivers; set as the component's ``DRIVER_CLASS``."""

    def __init__(self, metadata_handle: metadata.Metadata) -> None:
        base_driver.BaseDriver.__init__(self, metadata_handle)
        portable_base_driver.BaseDriver.__init__(self, metadata_handle)

    @abc.abstractmethod
    def find(
        self, inputs: Mapping[str, Sequence[types.Artifact]], exec_properties: Mapping[str, Any]
    ) -> dict[str, str]:
        """Returns the execution properties that stand for what the node would find."""

    def run(self, execution_info: data_types.ExecutionInfo) -> driver_output_pb2.DriverOutput:
        """Adds what ``find`` returns to the node's execution properties."""
        output = driver_output_pb2.DriverOutput()
        found = self.find(execution_info.input_dict, execution_info.exec_properties)
        for key, value in found.items():
            output.exec_properties[key].string_value = value
        return output
