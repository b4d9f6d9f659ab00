"""A cluster without a cluster: an object store, volumes, a metadata store, pipelines compiled for them."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER))  # The stand-ins are modules of their own, and tests/ holds no packages.


def load_journey() -> Any:
    """Returns the helpers of tests/journey, whose data set and configuration these tests take too."""
    path = FOLDER.parent / "journey" / "conftest.py"
    spec = importlib.util.spec_from_file_location("journey_helpers", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


JOURNEY = load_journey()
make_boxes, write_config, deconvflow = JOURNEY.make_boxes, JOURNEY.write_config, JOURNEY.deconvflow


@dataclass(frozen=True)
class Site:
    """Folders that stand for a cluster's volumes; open to the user whom containers run as."""

    root: Path

    def folder(self, name: str) -> Path:
        path = self.root / name
        path.mkdir(exist_ok=True)
        path.chmod(0o777)
        return path

    @property
    def store(self) -> str:
        """The address of the metadata store."""
        return f"sqlite:///{self.folder('volume')}/metadata.sqlite"

    def kubeflow(self, **sections: Any) -> dict[str, Any]:
        """Returns the section ``kubeflow`` of a configuration."""
        volume = str(self.folder("volume"))
        defaults = {"volumes": [{"mount_path": volume, "claim": "work"}], "environment": {}, "secrets": []}
        return {
            "serving_root": f"{volume}/serving",
            "checkpoint_root": f"{volume}/checkpoints",
            "defaults": defaults,
            **sections,
        }


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A new site; not below pytest's own folders, which are closed to other users."""
    root = Path(tempfile.mkdtemp(prefix="deconvflow-site-"))
    root.chmod(0o755)
    yield Site(root)
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="session")
def compile_to() -> Callable[..., Path]:
    """Compiles a configuration's file to a file, with overrides as ``--set`` takes them."""

    def compile_file(config: Path, target: Path, *overrides: str) -> Path:
        from pipeline.cluster.compile_spec import compile_pipeline
        from pipeline.config import load_config

        target.write_text(compile_pipeline(load_config(config, overrides)).to_yaml(), encoding="utf-8")
        return target

    return compile_file
