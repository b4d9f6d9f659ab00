"""Histories written with MLMD's own API, shaped as TFX leaves them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pipeline import tracking
from pipeline.tracking import RunRecord

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def writing() -> ModuleType:
    """The module that writes histories, tests/benchmarks/history_store.py."""
    spec = importlib.util.spec_from_file_location(
        "history_store", REPOSITORY / "tests" / "benchmarks" / "history_store.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["history_store"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def history(writing: ModuleType, tmp_path: Path) -> Any:
    """An empty history in a workspace."""
    return writing.HistoryStore(tmp_path / "workspace")


@pytest.fixture
def find(history: Any) -> Any:
    """Returns the record of a run by its id."""

    def find_record(run_id: str) -> RunRecord:
        return next(record for record in tracking.list_runs(history.store) if record.run_id == run_id)

    return find_record


def _change_mask(writing: ModuleType) -> Any:
    pairs = list(writing.make_pairs())
    image_id, split, image, _ = pairs[3]
    pairs[3] = (image_id, split, image, "another mask")
    return tuple(pairs)


@pytest.fixture
def four_runs(writing: ModuleType, history: Any) -> Any:
    """Four runs: then one mask, one line of code and one hyper-parameter changed, one at a time."""
    plan = writing.PlannedRun
    configuration = writing.make_configuration()
    configuration["trainer"]["learning_rate"] = 0.02
    mask, code = _change_mask(writing), {"data/a.py": "1" * 64, "trainer/b.py": "9" * 64}
    better = ((95, 5, 0), (20, 80, 0), (0, 0, 0))
    history.add_run(plan("run-1", version=1))
    history.add_run(plan("run-2", pairs=mask, version=2, matrix=better))
    history.add_run(plan("run-3", pairs=mask, code=code, status="not blessed"))
    history.add_run(plan("run-4", pairs=mask, code=code, configuration=configuration, version=3))
    return history
