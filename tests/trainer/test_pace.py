"""The time budget and the pace, with a clock that the tests turn."""

from __future__ import annotations

import pytest

from trainer import pace
from trainer.pace import Pacer, TimeBudget


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(pace.time, "monotonic", lambda: now[0])
    return now


def test_share_of_the_limit(clock: list[float]) -> None:
    budget = TimeBudget(100.0)
    clock[0] += 25
    assert budget.share() == 0.25 and not budget.is_spent()
    budget.reserved_seconds = 50
    assert budget.share() == 0.5
    clock[0] += 30
    assert budget.share() == 1 and budget.is_spent()


def test_earlier_attempts_count(clock: list[float]) -> None:
    budget = TimeBudget(100.0, spent_seconds=60)
    clock[0] += 10
    assert budget.elapsed_seconds() == 70 and budget.share() == 0.7


def test_no_limit_is_never_spent(clock: list[float]) -> None:
    budget = TimeBudget(None)
    clock[0] += 1e9
    assert budget.share() == 0 and not budget.is_spent()


def test_limit_that_validation_alone_exceeds_is_spent(clock: list[float]) -> None:
    budget = TimeBudget(10.0)
    budget.reserved_seconds = 20
    clock[0] += 1
    assert budget.is_spent()


def test_calls_take_about_a_second() -> None:
    pacer = Pacer()
    assert pacer.next_count(100) == 1 and pacer.steps_per_second() is None
    pacer.note(1, 30.0)  # Compiles.
    assert pacer.next_count(100) == 2 and pacer.next_count(1) == 1
    pacer.note(2, 0.1)
    assert pacer.steps_per_second() == pytest.approx(20)
    assert pacer.next_count(100) == 20 and pacer.next_count(7) == 7
    pacer.note(20, 99.9)
    assert pacer.next_count(100) == 1
