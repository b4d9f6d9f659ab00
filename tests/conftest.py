"""Fixtures that every tier uses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def camvid() -> Path:
    """The folder of CamVid (train, trainannot, val, valannot); skips where it is absent."""
    folder = Path(os.environ.get("DECONVFLOW_CAMVID", REPOSITORY.parent / "shared/data/camvid"))
    if not (folder / "train").is_dir():
        pytest.skip("CamVid is not on this machine; set DECONVFLOW_CAMVID to its folder")
    return folder
