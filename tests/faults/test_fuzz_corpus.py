"""Inputs that were once too much, and a few new ones each time."""

from __future__ import annotations

import importlib
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent
FILES = sorted(path for path in (HERE / "corpus").rglob("*") if path.is_file())
TARGETS = ("masks", "labels", "config", "manifest")


@pytest.fixture(scope="module")
def fuzz() -> ModuleType:
    """The driver; its neighbours are no package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(HERE))
        return importlib.import_module("fuzz")


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_was_found_once_is_stood(fuzz: ModuleType, path: Path) -> None:
    fuzz.TARGETS[path.parent.name].check(path.read_bytes())


def test_the_corpus_is_small_and_of_every_target() -> None:
    assert {path.parent.name for path in FILES} == set(TARGETS)
    assert len(FILES) <= 200 and sum(path.stat().st_size for path in FILES) <= 200_000


@pytest.mark.parametrize("target", TARGETS)
def test_new_inputs_are_stood(
    fuzz: ModuleType, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuzz, "_ROUND", 40)
    monkeypatch.setattr(fuzz, "CORPUS", tmp_path)
    counts: Counter[str] = Counter()

    found = fuzz.fuzz_round(fuzz.TARGETS[target], 1, counts)

    assert found is None, found.read_bytes()
    assert counts[target] >= 40


def test_a_failure_is_made_small_and_kept(
    fuzz: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuzz, "CORPUS", tmp_path)

    def fail_on_long(data: bytes) -> None:
        assert len(data) < 3

    target = ModuleType("target")
    target.NAME, target.INPUTS, target.check = "masks", fuzz.fuzz_masks.INPUTS, fail_on_long  # type: ignore[attr-defined]
    found = fuzz.fuzz_round(target, 1, Counter())

    assert found is not None and found.parent == tmp_path / "masks"
    assert 3 <= len(found.read_bytes()) < 10
