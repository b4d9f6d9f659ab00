from __future__ import annotations

import gc
import importlib
import sys

import pytest

from pipeline.lean_imports import lean_imports

VALIDATOR = "kubernetes_validate"


@pytest.fixture(autouse=True)
def thawed():
    """Leaves the collector of the tests' own process as it was."""
    yield
    gc.unfreeze()
    gc.enable()


def test_the_collector_waits_and_then_leaves_what_came_alone() -> None:
    gc.unfreeze()
    with lean_imports():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 1000  # Modules, at the least.


def test_who_collects_by_hand_goes_on_to() -> None:
    gc.disable()
    with lean_imports():
        assert not gc.isenabled()
    assert not gc.isenabled()


def test_the_validator_is_not_there_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, VALIDATOR, raising=False)
    with lean_imports(), pytest.raises(ImportError):
        importlib.import_module(VALIDATOR)
    assert VALIDATOR not in sys.modules


def test_an_import_that_fails_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, VALIDATOR, raising=False)
    with pytest.raises(ModuleNotFoundError), lean_imports():
        importlib.import_module("no_such_module")
    assert gc.isenabled()
    assert VALIDATOR not in sys.modules


def test_a_validator_that_is_there_already_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, VALIDATOR, gc)
    with lean_imports():
        assert sys.modules[VALIDATOR] is gc
    assert sys.modules[VALIDATOR] is gc
