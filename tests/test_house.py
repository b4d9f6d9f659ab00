"""How the repository is laid out, where a slip would break something far away from it."""

from __future__ import annotations

import fnmatch
import subprocess
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGES = ("data", "trainer", "components", "pipeline")


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """Every file that git knows, relative to the repository."""
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    if listing.returncode:
        pytest.skip("not a git checkout")
    files = [Path(name) for name in listing.stdout.split("\0") if name]
    return [file for file in files if (REPOSITORY / file).is_file()]


@pytest.fixture(scope="module")
def setuptools_table() -> dict[str, object]:
    """The table tool.setuptools of pyproject.toml."""
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]


def test_tests_are_no_package() -> None:
    # tests/data/__init__.py would make tests.data another "data" in import errors and pickles.
    assert not list((REPOSITORY / "tests").rglob("__init__.py"))


def test_kubeflow_holds_no_python(tracked: list[Path]) -> None:
    # PyPI's kubeflow owns the name.
    assert not [file for file in tracked if file.parts[0] == "kubeflow" and file.suffix == ".py"]


def test_every_folder_of_modules_is_an_installed_package(
    tracked: list[Path], setuptools_table: dict[str, object]
) -> None:
    folders = {file.parent for file in tracked if file.parts[0] in PACKAGES and file.suffix == ".py"}
    assert {".".join(folder.parts) for folder in folders} == set(setuptools_table["packages"])
    assert not [folder for folder in folders if not (REPOSITORY / folder / "__init__.py").is_file()]


def test_every_other_file_of_a_package_is_installed_with_it(
    tracked: list[Path], setuptools_table: dict[str, object]
) -> None:
    patterns = setuptools_table["package-data"]["*"]
    others = [file for file in tracked if file.parts[0] in PACKAGES and file.suffix != ".py"]
    left_out = [f for f in others if not any(fnmatch.fnmatch(f.name, pattern) for pattern in patterns)]
    assert not left_out


def test_package_initialisers_import_nothing(tracked: list[Path]) -> None:
    # Commands that need no TensorFlow must not wait for it: importing data.errors imports data first.
    for file in tracked:
        if file.name == "__init__.py":
            lines = (REPOSITORY / file).read_text().splitlines()
            assert not [line for line in lines if line.startswith(("import ", "from "))], file


def test_no_file_names_a_package_registry(tracked: list[Path]) -> None:
    hosts = [
        ".".join(parts).encode() for parts in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"))
    ]
    naming = [file for file in tracked if any(host in (REPOSITORY / file).read_bytes() for host in hosts)]
    assert not naming
