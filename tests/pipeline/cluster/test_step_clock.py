from __future__ import annotations

import pytest

from pipeline.cluster import step_clock
from pipeline.cluster.step_clock import LOADING, WORK, StepClock


def test_laps_add_up_and_the_rest_is_the_steps_own(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([100.0, 100.5, 108.5, 109.0, 109.25, 110.0, 112.0, 113.0])
    monkeypatch.setattr(step_clock.time, "monotonic", lambda: next(times))
    clock = StepClock()
    with clock.lap(LOADING):
        pass
    with clock.lap(WORK):
        pass
    with pytest.raises(KeyError), clock.lap(WORK):
        raise KeyError
    expected = "Trainer took 13.00 s: 8.00 s loading TensorFlow and TFX, 2.25 s its own work"
    assert clock.describe("Trainer") == expected
