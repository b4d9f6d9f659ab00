"""A metadata store in trouble: what a step does before its executor has started, and after."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from data.errors import Problem, RefusedError
from pipeline.cluster.stop_signal import StepStoppedError

pytestmark = pytest.mark.slow

_UNREACHABLE = "mysql://me@127.0.0.1:1/runs"


@pytest.fixture
def make_recorder(monkeypatch):
    """Makes the recorder of a step without artifacts."""
    from ml_metadata.proto import metadata_store_pb2 as pb

    from pipeline.cluster.read_arguments import StepArguments
    from pipeline.cluster.step_recorder import StepRecorder

    def make(store, patience="0", run_id="r1"):
        monkeypatch.setenv("DECONVFLOW_METADATA_PATIENCE_SECONDS", patience)
        if store is None:
            monkeypatch.delenv("DECONVFLOW_METADATA_STORE", raising=False)
        else:
            monkeypatch.setenv("DECONVFLOW_METADATA_STORE", store)
        step = StepArguments("a.B", "{}", None, "Trainer", "demo", run_id, None, (), ())
        invocation = SimpleNamespace(
            inputs={}, outputs={}, properties={"key": "value"}, with_uris=lambda artifacts: artifacts
        )
        return StepRecorder(step, invocation, pb.ExecutionType(name="demo.Trainer"))

    return make


@pytest.fixture
def store(tmp_path):
    return f"sqlite:///{tmp_path}/metadata.sqlite"


def _read(store, run="r1"):
    from pipeline import tracking
    from pipeline.connect_store import open_store
    from pipeline.store_address import parse_address

    opened = open_store(parse_address(store, "test"))
    return tracking.read_run(opened, run), tracking.read_components(opened, run)


def test_without_a_store_nothing_is_recorded_and_that_is_said(make_recorder, caplog):
    with caplog.at_level(logging.WARNING):
        recorder = make_recorder(None)
        recorder.start({})
        recorder.finish()
        recorder.fail(ValueError("why"))
    assert [one.message for one in caplog.records] == [
        "DECONVFLOW_METADATA_STORE is not set: this run is not recorded"
    ]


def test_no_step_starts_that_cannot_be_recorded(make_recorder):
    recorder = make_recorder(_UNREACHABLE)
    with pytest.raises(RefusedError, match=r"127\.0\.0\.1"):
        recorder.start({})
    recorder.fail(RuntimeError("it does not try again, and says nothing"))


def test_what_a_step_made_is_not_lost_with_its_record(make_recorder, store, monkeypatch, caplog):
    from ml_metadata import errors

    recorder = make_recorder(store)
    recorder.start({"key": "value"})

    def down(*_):
        raise errors.UnavailableError("the server went away")

    monkeypatch.setattr("pipeline.cluster.record_step.StepRecord.finish", down)
    with caplog.at_level(logging.WARNING):
        recorder.finish()
    assert "the server went away" in caplog.text
    assert [one.state for one in _read(store)[1]] == ["running"]


def test_a_store_that_comes_back_is_used(make_recorder, store, monkeypatch):
    import pipeline.cluster.step_recorder as module

    attempts = []

    def open_late(address, create):
        attempts.append(address)
        if len(attempts) < 3:
            raise RefusedError([Problem(str(address), "does not answer", "Start it")])
        return original(address, create)

    original = module.open_store
    monkeypatch.setattr(module, "open_store", open_late)
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0.01)
    recorder = make_recorder(store, patience="30")
    recorder.start({})
    recorder.finish()
    assert len(attempts) == 3
    assert [one.state for one in _read(store)[1]] == ["complete"]


def test_a_failure_ends_the_run_without_its_secrets(make_recorder, store, monkeypatch):
    monkeypatch.setenv("MY_API_KEY", "very-secret-4711")
    recorder = make_recorder(store)
    recorder.start({"url": "https://x?key=very-secret-4711"})
    recorder.fail(ValueError("403 for very-secret-4711"))
    run, components = _read(store)
    assert (run.status, run.error) == ("failed", "403 for ***")
    assert [one.state for one in components] == ["failed"]
    content = Path(store.removeprefix("sqlite:///")).read_bytes()
    assert b"very-secret" not in content


def test_a_step_that_was_stopped_says_so(make_recorder, store):
    recorder = make_recorder(store)
    recorder.start({})
    recorder.fail(StepStoppedError("the pod was stopped"))
    run, components = _read(store)
    assert (run.status, run.error) == ("interrupted", "the pod was stopped")
    assert [one.state for one in components] == ["failed"]
    again = make_recorder(store)
    again.start({})
    assert _read(store)[0].status == "running"


def test_a_refusal_before_the_start_is_recorded_too(make_recorder, store):
    recorder = make_recorder(store)
    recorder.fail(RefusedError([Problem("trainer.epochs", "is 0", "Give it another value")]))
    run, components = _read(store)
    assert run.status == "refused"
    assert run.error == "trainer.epochs: is 0. Give it another value."
    assert [(one.id, one.state) for one in components] == [("Trainer", "failed")]


def test_a_run_without_an_id_is_refused(make_recorder, store):
    with pytest.raises(RefusedError, match="does not tell the run's id"):
        make_recorder(store, run_id=None)
