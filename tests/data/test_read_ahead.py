"""Threads that work ahead keep the order, the memory bound and the errors."""

from __future__ import annotations

import threading
import time

import pytest

from data import progress

pytestmark = pytest.mark.slow  # Imports Beam and TensorFlow.


@pytest.fixture(scope="module")
def read_pairs():
    from data import read_pairs

    return read_pairs


def test_results_come_in_the_order_of_the_items(read_pairs):
    def slow_start(number: int) -> int:
        time.sleep(0.02 if number % 3 == 0 else 0)
        return number * number

    assert list(read_pairs.map_ahead(slow_start, range(20), threads=3)) == [n * n for n in range(20)]


def test_quick_items_are_done_without_threads(read_pairs):
    used = {threading.current_thread()}

    def quick(number: int) -> int:
        used.add(threading.current_thread())
        return -number

    assert list(read_pairs.map_ahead(quick, range(50), threads=3)) == [-n for n in range(50)]
    assert used == {threading.current_thread()}


def test_slow_items_are_done_by_threads(read_pairs):
    used = set()

    def slow(number: int) -> int:
        time.sleep(0.03)
        used.add(threading.current_thread())
        return number

    assert list(read_pairs.map_ahead(slow, range(12), threads=3)) == list(range(12))
    assert len(used) == 4


def test_no_more_than_twice_the_threads_are_taken_ahead(read_pairs, monkeypatch):
    monkeypatch.setattr(read_pairs, "SECONDS_WORTH_A_THREAD", 0.0)
    taken = []

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    results = read_pairs.map_ahead(lambda number: number, items(), threads=2)
    assert next(results) == 0
    assert len(taken) == 1
    assert next(results) == 1
    assert len(taken) == 5
    assert next(results) == 2
    assert len(taken) == 6


def test_an_error_reaches_the_caller_and_ends_the_threads(read_pairs, monkeypatch):
    monkeypatch.setattr(read_pairs, "SECONDS_WORTH_A_THREAD", 0.0)

    def fail(number: int) -> int:
        if number < 3:
            return number
        raise OSError(f"item {number}")

    before = threading.active_count()
    with pytest.raises(OSError, match="item 3"):
        list(read_pairs.map_ahead(fail, range(10), threads=2))
    assert threading.active_count() == before


def test_pairs_read_in_this_process_advance_the_shown_stage(read_pairs, monkeypatch, write_pairs, tmp_path):
    from data.list_pairs import list_pairs
    from data.plan_shards import plan_shards

    seen = []

    class Stage:
        def __init__(self, name: str, total: float | None) -> None:
            seen.append((name, total))

        def __enter__(self) -> Stage:
            return self

        def __exit__(self, *_: object) -> None:
            seen.append("closed")

        def advance(self, amount: float = 1, note: str = "") -> None:
            seen.append(amount)

    class Reporter:
        def stage(self, name: str, total: float | None = None) -> Stage:
            return Stage(name, total)

    monkeypatch.setattr(progress, "_reporter", Reporter())
    pairs = list_pairs(write_pairs(tmp_path, {"train": 3})).pairs
    with read_pairs.showing_progress("read", len(pairs)):
        list(read_pairs.HashShardFn().process(plan_shards(pairs)[0]))
    read_pairs.advance()
    assert seen == [("read", 3), 1, 1, 1, "closed"]
