"""Data sets with bad files in them, and a process that examines them."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from data.config import DataConfig

HERE = Path(__file__).resolve().parent
MAX_BYTES = 2_000_000_000


def _load_cases() -> ModuleType:
    specification = importlib.util.spec_from_file_location("make_bad_files", HERE / "make_bad_files.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    # Its dataclass looks for the module that defines it.
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


_cases = _load_cases()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Makes a test of each kind of file for those that take a kind."""
    kinds = {
        "file_kind": _cases.CASES,
        "good_file_kind": [kind for kind, case in _cases.CASES.items() if not case.refused],
        "fuzzed_kind": _cases.FUZZED,
    }
    for name in kinds.keys() & set(metafunc.fixturenames):
        metafunc.parametrize(name, list(kinds[name]))


@pytest.fixture(scope="session")
def bad_files() -> ModuleType:
    """The module make_bad_files."""
    return _cases


@pytest.fixture
def good_set(write_pairs: Callable[..., DataConfig], tmp_path: Path) -> DataConfig:
    """Four sound pairs for training and two for validation."""
    return write_pairs(tmp_path / "data", {"train": 4, "val": 2})


@pytest.fixture(scope="session")
def run_probe() -> Callable[..., dict[str, Any]]:
    """Examines pairs of a data set in 2 GB: run_probe(config, pairs, fuzzed={}, check=False, threads=1)."""

    def run(
        config: DataConfig,
        pairs: list[tuple[str, str, str, str]],
        fuzzed: dict[str, str] | None = None,
        check: bool = False,
        threads: int = 1,
    ) -> dict[str, Any]:
        task = {"config": config.model_dump(mode="json"), "pairs": pairs, "fuzzed": fuzzed or {}}
        task |= {"check": check, "threads": threads, "max_bytes": MAX_BYTES}
        # Each thread of a linear algebra library reserves memory that it never uses.
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parent.parent)}
        done = subprocess.run(
            [sys.executable, str(HERE / "probe.py")],
            input=json.dumps(task),
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    return run


@pytest.fixture(scope="session")
def bad_set(tmp_path_factory: pytest.TempPathFactory, write_pairs: Callable[..., DataConfig]) -> DataConfig:
    """A data set of a few sound pairs and one of every kind."""
    root = tmp_path_factory.mktemp("bad")
    config = write_pairs(root, {"train": 4, "val": 2})
    for kind, case in _cases.CASES.items():
        (root / f"images/train/{kind}.png").write_bytes(case.image)
        (root / f"masks/train/{kind}{case.mask_ending}").write_bytes(case.mask)
    return config


@pytest.fixture(scope="session")
def outcome(bad_set: DataConfig, run_probe: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """What the probe makes of every kind."""
    pairs = [
        (
            kind,
            "train",
            f"{bad_set.root}/images/train/{kind}.png",
            f"{bad_set.root}/masks/train/{kind}{case.mask_ending}",
        )
        for kind, case in _cases.CASES.items()
    ]
    fuzzed = {name: make().hex() for name, make in _cases.FUZZED.items()}
    return run_probe(bad_set, pairs, fuzzed, check=True)
