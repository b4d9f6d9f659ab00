"""What TF_CONFIG says, as TFJob sets it and as people write it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from data.errors import RefusedError
from trainer.cluster import Cluster, read_cluster


def read(cluster: Any, task: Any) -> Cluster | None:
    return read_cluster({"TF_CONFIG": json.dumps({"cluster": cluster, "task": task, "environment": "cloud"})})


def test_worker_0_is_the_chief_where_there_is_no_other() -> None:
    hosts = {"worker": ["a:1", "b:1", "c:1"]}
    assert read(hosts, {"type": "worker", "index": 0}) == Cluster(("a:1", "b:1", "c:1"), 0)
    last = read(hosts, {"type": "worker", "index": 2})
    assert last and last.index == 2 and not last.is_chief


def test_the_chief_comes_first() -> None:
    hosts = {"worker": ["a:1", "b:1"], "chief": ["c:1"]}
    chief, second = (
        read(hosts, {"type": kind, "index": index}) for kind, index in (("chief", 0), ("worker", 1))
    )
    assert chief == Cluster(("c:1", "a:1", "b:1"), 0) and chief.is_chief
    assert second == Cluster(("c:1", "a:1", "b:1"), 2)


@pytest.mark.parametrize("text", ["", "  ", "{}", '{"cluster": {"worker": ["a:1"]}}'])
def test_one_worker_trains_alone(text: str) -> None:
    assert read_cluster({"TF_CONFIG": text}) is None
    assert read_cluster({}) is None


@pytest.mark.parametrize(
    ("cluster", "task", "complaint"),
    [
        (
            {"worker": ["a:1", "b:1"], "ps": ["c:1"]},
            {"type": "worker", "index": 0},
            "names ps among the tasks",
        ),
        (
            {"worker": ["a:1", "b:1"]},
            {"type": "worker", "index": 2},
            "task 2 of worker, which it does not list",
        ),
        (
            {"worker": ["a:1", "b:1"]},
            {"type": "chief", "index": 0},
            "task 0 of chief, which it does not list",
        ),
        ({"worker": ["a:1", "b:1"]}, {}, "does not list"),
        (
            {"worker": ["a:1", "b"]},
            {"type": "worker", "index": 0},
            "has the address b. Write addresses as host",
        ),
        ({"worker": ["a:1", "a:1"]}, {"type": "worker", "index": 0}, "has an address twice"),
        ({"worker": "a:1"}, {"type": "worker", "index": 0}, "has no lists of addresses"),
    ],
)
def test_what_cannot_be_is_refused(cluster: Any, task: Any, complaint: str) -> None:
    with pytest.raises(RefusedError, match=f"TF_CONFIG: .*{complaint}"):
        read(cluster, task)


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(RefusedError, match="TF_CONFIG: is no JSON"):
        read_cluster({"TF_CONFIG": "{'cluster'"})
