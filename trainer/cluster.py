"""Which workers train together: what ``TF_CONFIG`` says. Imports no TensorFlow."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from data.errors import Problem, RefusedError

VARIABLE = "TF_CONFIG"
_ROLES = ("chief", "worker")
_ADDRESS = re.compile(r"[^\s:/]+:[0-9]{1,5}")
_EXAMPLE = '{"cluster": {"worker": ["host-0:2222", "host-1:2222"]}, "task": {"type": "worker", "index": 0}}'


@dataclass(frozen=True)
class Cluster:
    """Workers that train together.

    Attributes:
        addresses: ``host:port`` of each, the chief's first.
        index: which of them this process is.
    """

    addresses: tuple[str, ...]
    index: int

    @property
    def is_chief(self) -> bool:
        """Whether this process writes checkpoints, records and the model."""
        return self.index == 0


def read_cluster(environment: Mapping[str, str]) -> Cluster | None:
    """Reads ``TF_CONFIG`` as Kubeflow's TFJob sets it: the chief is ``chief`` 0, or else ``worker`` 0.

    Args:
        environment: of the process.

    Returns:
        None where the variable is absent or names one worker: training is this process's own then.

    Raises:
        RefusedError: it is no such JSON, or names tasks that training does not have (``ps``).
    """
    text = environment.get(VARIABLE, "").strip()
    if not text:
        return None
    cluster, task = _parse(text)
    if others := sorted(set(cluster) - set(_ROLES)):
        raise _refuse(
            f"names {others[0]} among the tasks", "Leave chief and worker tasks alone in it", "tasks"
        )
    addresses = [(role, str(address)) for role in _ROLES for address in cluster.get(role, [])]
    if wrong := [address for _, address in addresses if not _ADDRESS.fullmatch(address)]:
        raise _refuse(f"has the address {wrong[0]}", "Write addresses as host:port", "address")
    if len(set(addresses)) < len(addresses):
        raise _refuse("has an address twice", "Give every worker an address of its own", "address")
    if len(addresses) < 2:
        return None
    role, number = task.get("type"), task.get("index")
    own = [place for place, (other, _) in enumerate(addresses) if other == role]
    if not isinstance(number, int) or not 0 <= number < len(own):
        raise _refuse(f"says that this is task {number} of {role}, which it does not list", "List it", "task")
    return Cluster(tuple(address for _, address in addresses), own[number])


def _parse(text: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise _refuse(f"is no JSON ({error})", f"Write it as {_EXAMPLE}", "json") from error
    document = document if isinstance(document, dict) else {}
    cluster, task = document.get("cluster", {}), document.get("task", {})
    lists = isinstance(cluster, dict) and all(isinstance(hosts, list) for hosts in cluster.values())
    if not lists or not isinstance(task, dict):
        raise _refuse("has no lists of addresses in cluster, or no task", f"Write it as {_EXAMPLE}", "shape")
    return cluster, task


def _refuse(what: str, remedy: str, code: str) -> RefusedError:
    return RefusedError([Problem(VARIABLE, what, remedy, f"tf_config_{code}")])
