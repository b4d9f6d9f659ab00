"""SIGTERM in this very process, which is the container's main one."""

from __future__ import annotations

import os
import signal
import sys
from types import SimpleNamespace

import pytest

from pipeline.cluster.entrypoint import main
from pipeline.cluster.stop_signal import StepStoppedError, heeding_sigterm

ARGUMENTS = [
    "--executor_class_path", "a.B", "--json_serialized_invocation_args", "{}", "--node_id", "Trainer",
    "--pipeline_name", "demo",
]  # fmt: skip


def stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture(autouse=True)
def handler():
    """Keeps the tests alive whatever is done with signals, and holds that it is undone."""
    kept = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    yield
    assert signal.signal(signal.SIGTERM, kept) is signal.SIG_IGN


def test_the_first_signal_raises_and_a_second_one_does_not_disturb() -> None:
    with pytest.raises(StepStoppedError, match="SIGTERM"), heeding_sigterm():
        try:
            stop()
        finally:
            stop()
            stop()


def test_no_executor_that_bears_failures_bears_being_stopped() -> None:
    with pytest.raises(KeyboardInterrupt), heeding_sigterm():
        try:
            stop()
        except Exception:  # pragma: no cover - what executors do
            pytest.fail("an executor would go on")


def test_the_container_ends_with_a_sentence(monkeypatch, capsys) -> None:
    module = SimpleNamespace(run_step=lambda step, clock: stop())
    monkeypatch.setitem(sys.modules, "pipeline.cluster.run_step", module)
    assert main(ARGUMENTS) == 143
    assert capsys.readouterr().err.splitlines()[-1] == "the pod was stopped from outside (SIGTERM)"
