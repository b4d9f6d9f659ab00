"""The time budget and the pace, with a clock that the tests turn."""

from __future__ import annotations

import math

import pytest

from trainer import pace
from trainer.pace import Pacer, SavePacer, TimeBudget


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


def test_remaining_seconds_leave_validation_its_time(clock: list[float]) -> None:
    budget = TimeBudget(100.0, spent_seconds=30)
    budget.reserved_seconds = 20
    clock[0] += 10
    assert budget.remaining_seconds() == 40
    clock[0] += 50
    assert budget.remaining_seconds() == 0 and budget.is_spent()
    assert TimeBudget(None).remaining_seconds() == math.inf


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
    # Half a second is left; then nothing, and one step is taken if the caller asks for any.
    assert pacer.next_count(100, 0.5) == 10 and pacer.next_count(100, 0.0) == 1
    pacer.note(20, 99.9)
    assert pacer.next_count(100) == 1


def test_first_validation_is_guessed_from_the_pace_and_from_compiling() -> None:
    pacer = Pacer()
    assert pacer.guess_validation_seconds(10) == 0
    pacer.note(1, 30.0)
    pacer.note(2, 4.0)
    # Half of ten steps at two seconds, and 0.3 of what the first call took; without validation nothing.
    assert pacer.guess_validation_seconds(10) == pytest.approx(10 + 9)
    assert pacer.guess_validation_seconds(0) == 0


def test_state_is_saved_every_ten_seconds_or_for_a_twentieth_of_the_time() -> None:
    saver = SavePacer(100.0)
    assert not saver.is_due(109.9) and saver.is_due(110.0)
    saver.note(110.0, 110.2)
    assert not saver.is_due(120.1) and saver.is_due(120.2)
    # A network of gigabytes takes three seconds to save.
    saver.note(121.0, 124.0)
    assert not saver.is_due(183.9) and saver.is_due(184.0)
