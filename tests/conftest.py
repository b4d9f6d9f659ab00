"""Fixtures that every tier uses."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from data.config import ClassConfig, DataConfig

# How long an example takes says something about the machine, not about the code.
settings.register_profile("deconvflow", deadline=None)
settings.load_profile("deconvflow")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def camvid() -> Path:
    """The folder of CamVid (train, trainannot, val, valannot); skips where it is absent."""
    folder = Path(os.environ.get("DECONVFLOW_CAMVID", REPOSITORY.parent / "shared/data/camvid"))
    if not (folder / "train").is_dir():
        pytest.skip("CamVid is not on this machine; set DECONVFLOW_CAMVID to its folder")
    return folder


@pytest.fixture(scope="session")
def write_pairs() -> Callable[..., DataConfig]:
    """Writes random PNG images with id masks (classes ground and road, 255 void) in split folders."""

    def write(root: Path, counts: dict[str, int], height: int = 12, width: int = 16) -> DataConfig:
        for split, count in counts.items():
            for index in range(count):
                random = np.random.default_rng([index, len(split)])
                image = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
                mask = random.choice(np.array([0, 1, 255], np.uint8), (height, width), p=(0.5, 0.4, 0.1))
                for kind, pixels in (("images", image), ("masks", mask)):
                    path = root / kind / split / f"{split}-{index:03d}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(pixels).save(path)
        return DataConfig(
            root=str(root),
            classes=(ClassConfig(id=0, name="ground"), ClassConfig(id=1, name="road")),
        )

    return write
