"""A small valid configuration to start from, and histories shaped as TFX leaves them."""

from __future__ import annotations

import copy
import dataclasses
import importlib.util
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml

from pipeline import cli, console, tracking
from pipeline.tracking import RunRecord

REPOSITORY = Path(__file__).resolve().parents[2]
STARTED = time.time() - 60
_VALID: dict[str, Any] = {
    "name": "two-classes",
    "data": {
        "root": "images-and-masks",
        "classes": [{"id": 0, "name": "background"}, {"id": 1, "name": "thing"}],
    },
    "transform": {"height_px": 32, "width_px": 48},
}


@pytest.fixture
def tree() -> dict[str, Any]:
    """A configuration as YAML gives it."""
    return copy.deepcopy(_VALID)


@pytest.fixture
def write_yaml(tmp_path: Path) -> Callable[[Any], Path]:
    """Writes a tree (or text) as a YAML file and returns its path."""

    def write(content: Any) -> Path:
        path = tmp_path / "config.yaml"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return path

    return write


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Calls the command line in this process: call(*words) has status, out and err.

    What libraries write to file descriptor 2 counts as stderr.
    """

    def run(*words: object) -> SimpleNamespace:
        monkeypatch.setattr(sys, "argv", ["deconvflow", *map(str, words)])
        capfd.readouterr()
        status: Any = None
        try:
            status = cli.run_app(lambda: cli.app(standalone_mode=True))
        except SystemExit as ended:
            status = ended.code
        out, err = capfd.readouterr()
        return SimpleNamespace(status=status, out=out, err=err)

    return run


@pytest.fixture
def ask(call: Callable[..., Any], history: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Calls the command line on the history's workspace, on a wide terminal: ask(*words, workspace=None)."""
    monkeypatch.setattr(console.answers, "_width", 200)

    def run(*words: object, workspace: Path | None = None) -> Any:
        return call(*words, "--workspace", workspace or history.workspace)

    return run


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


@pytest.fixture(scope="session")
def empty_store(writing: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that knows all types and holds nothing: registering them takes most of a small test's time."""
    folder = tmp_path_factory.mktemp("empty")
    writing.HistoryStore(folder).register_types()
    return folder / "metadata.sqlite"


@pytest.fixture
def history(writing: ModuleType, empty_store: Path, tmp_path: Path) -> Any:
    """An empty history in a workspace."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    shutil.copy(empty_store, workspace)
    return writing.HistoryStore(workspace)


@pytest.fixture
def count_calls(history: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], int]:
    """Returns how many calls of ML Metadata a question makes: count_calls(question)."""

    def count(ask: Callable[[], Any]) -> int:
        calls: list[str] = []
        original = type(history.store)._call

        def note(self: Any, method: str, *arguments: Any, **keywords: Any) -> Any:
            calls.append(method)
            return original(self, method, *arguments, **keywords)

        with monkeypatch.context() as patch:
            patch.setattr(type(history.store), "_call", note)
            ask()
        return len(calls)

    return count


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


def _plan_four_runs(writing: ModuleType) -> list[Any]:
    plan = writing.PlannedRun
    configuration = writing.make_configuration()
    configuration["trainer"]["learning_rate"] = 0.02
    mask, code = _change_mask(writing), {"data/a.py": "1" * 64, "trainer/b.py": "9" * 64}
    better = ((95, 5, 0), (20, 80, 0), (0, 0, 0))
    runs = [
        plan("run-1", version=1),
        plan("run-2", pairs=mask, version=2, matrix=better),
        plan("run-3", pairs=mask, code=code, status="not blessed"),
        plan("run-4", pairs=mask, code=code, configuration=configuration, version=3),
    ]
    # A second apart: MLMD gives contexts that are written together one time.
    return [dataclasses.replace(run, started=STARTED + index) for index, run in enumerate(runs)]


@pytest.fixture
def four_runs(writing: ModuleType, history: Any) -> Any:
    """Four runs: then one mask, one line of code and one hyper-parameter changed, one at a time."""
    history.add_runs(_plan_four_runs(writing))
    return history


@pytest.fixture(scope="session")
def lasting_runs(writing: ModuleType, empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same four runs, written once for tests that only read."""
    workspace = tmp_path_factory.mktemp("lasting")
    shutil.copy(empty_store, workspace)
    history = writing.HistoryStore(workspace)
    history.add_runs(_plan_four_runs(writing))
    return history
