from __future__ import annotations

import os
import sys
import types
from functools import partial
from operator import add, call

import pytest

from data.map_processes import map_processes


@pytest.mark.parametrize(("count", "workers"), [(0, 2), (3, 2), (100, 1), (100, 2), (257, 3), (100, None)])
def test_results_come_in_order(count: int, workers: int | None) -> None:
    assert map_processes(partial(add, 7), range(count), "add", workers) == [
        7 + index for index in range(count)
    ]


def test_several_processes_take_part_and_few_items_stay_here() -> None:
    # A function of this file would not do: processes that start afresh cannot import tests.
    assert set(map_processes(call, [os.getpid] * 200, "many", 2)) - {os.getpid()}
    assert set(map_processes(call, [os.getpid] * 3, "few", 2)) == {os.getpid()}


def test_an_error_of_a_worker_reaches_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        map_processes(partial(divmod, 1), [1] * 99 + [0], "divide", 2)


@pytest.mark.slow
def test_processes_start_afresh_where_forking_is_unsafe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grpc", types.ModuleType("grpc"))
    assert map_processes(partial(add, 7), range(60), "add", 2) == list(range(7, 67))
