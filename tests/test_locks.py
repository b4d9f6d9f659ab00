"""The locks: complete, hashed, silent about where they were made, and in step with pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parent.parent
LANES = ("tfx-1-16", "tfx-1-21")
IMAGE_LOCKS = tuple(f"{lane}-{kind}" for lane in LANES for kind in ("image", "cuda"))
LOCKS = (*LANES, *IMAGE_LOCKS, "torch", "audit", "uv")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def read_lock(name: str) -> list[tuple[Requirement, list[str]]]:
    """The requirements of a lock, each with its options."""
    text = (REPOSITORY / "requirements" / f"{name}.txt").read_text().replace("\\\n", " ")
    entries = [line.split(" --", 1) for line in text.splitlines() if line.strip()]
    return [(Requirement(entry[0]), [f"--{part}" for part in entry[1].split(" --")]) for entry in entries]


@pytest.mark.parametrize("name", LOCKS)
def test_every_requirement_is_one_version_with_hashes(name: str) -> None:
    lock = read_lock(name)
    assert lock
    for requirement, options in lock:
        assert re.fullmatch(r"==[^*,]+", str(requirement.specifier)), requirement
        assert options and all(HASH.fullmatch(option.strip()) for option in options), requirement


@pytest.mark.parametrize("name", LOCKS)
def test_locks_name_no_address(name: str) -> None:
    text = (REPOSITORY / "requirements" / f"{name}.txt").read_text()
    assert "://" not in text
    assert "index" not in re.sub(r"^[a-z0-9.-]+==", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("lane", LANES)
def test_locks_are_in_step_with_pyproject(lane: str) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    asked = [Requirement(text) for text in (*project["dependencies"], *extras[lane], *extras["dev"])]
    locked = {canonicalize_name(requirement.name): requirement for requirement, _ in read_lock(lane)}
    for requirement in asked:
        name = canonicalize_name(requirement.name)
        assert name in locked, f"{name} is not in {lane}.txt: run make lock"
        version = str(locked[name].specifier).removeprefix("==")
        assert requirement.specifier.contains(version, prereleases=True), (
            f"{lane}.txt has {name} {version}, pyproject.toml asks for {requirement}: run make lock"
        )


@pytest.mark.parametrize("lane", LANES)
def test_the_image_has_the_versions_of_its_lane_and_no_tools_of_development(lane: str) -> None:
    tested = {canonicalize_name(one.name): str(one.specifier) for one, _ in read_lock(lane)}
    image = {canonicalize_name(one.name): str(one.specifier) for one, _ in read_lock(f"{lane}-image")}
    assert image.items() <= tested.items(), "run make lock"
    assert {"tfx", "kfp", "setuptools", "boto3"} <= set(image)
    assert not {"pytest", "mypy", "ruff", "moto"} & set(image)


@pytest.mark.parametrize("lane", LANES)
def test_cuda_adds_libraries_alone(lane: str) -> None:
    cuda = {canonicalize_name(one.name) for one, _ in read_lock(f"{lane}-cuda")}
    assert all(name.startswith("nvidia-") for name in cuda)
    assert {"nvidia-cudnn-cu12", "nvidia-nccl-cu12", "nvidia-cublas-cu12"} <= cuda


def test_checksums_of_records_are_computed_by_compiled_code() -> None:
    """crcmod installs without a compiler too, and then writing TFRecords is fifty times slower."""
    from crcmod import crcmod

    assert crcmod._usingExtension
