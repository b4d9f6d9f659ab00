"""Small training jobs on records of coloured rectangles."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from data import features
from data.config import ClassConfig, DataConfig, TransformConfig
from trainer.config import ModelConfig, TrainerConfig
from trainer.training_job import TrainingJob

sys.path.insert(0, str(Path(__file__).parent))  # tiny_network is a module that scripts here import, too.

CLASSES = ("ground", "box", "disc")
COLOURS = np.array([[60, 60, 60], [220, 60, 40], [40, 90, 230]], np.float32)
VOID = 255


def encode_png(pixels: np.ndarray) -> bytes:
    """Encodes uint8 pixels as a PNG."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def draw_scene(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns an image [height, width, 3] with one box and one disc, and its mask with some void."""
    rows, columns = np.mgrid[:height, :width]
    mask = np.zeros((height, width), np.uint8)
    top, left = rng.integers(0, height // 2), rng.integers(0, width // 2)
    mask[top : top + height // 3, left : left + width // 3] = 1
    centre = rng.integers(height // 4, height), rng.integers(width // 4, width)
    mask[np.hypot(rows - centre[0], columns - centre[1]) < min(height, width) / 5] = 2
    image = COLOURS[mask] + rng.normal(0, 12, (height, width, 3))
    mask[rng.random(mask.shape) < 0.03] = VOID
    return np.clip(image, 0, 255).astype(np.uint8), mask


def transformed_example(image: np.ndarray, mask: np.ndarray, pixels: np.ndarray) -> bytes:
    """Serializes a transformed example (data.features)."""
    floats = {
        features.CHANNEL_MEAN: [90.0, 70.0, 80.0],
        features.CHANNEL_STD: [50.0, 30.0, 60.0],
        features.CLASS_PIXELS: pixels,
        features.CLASS_IMAGE_PIXELS: np.full(len(CLASSES), pixels.sum()),
    }
    values = {key: tf.train.Feature(float_list=tf.train.FloatList(value=v)) for key, v in floats.items()}
    for key, encoded in ((features.IMAGE_PNG, encode_png(image)), (features.MASK_PNG, encode_png(mask))):
        values[key] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded]))
    return tf.train.Example(features=tf.train.Features(feature=values)).SerializeToString()


def write_split(path: Path, count: int, seed: int, height: int, width: int) -> str:
    """Writes a compressed TFRecord file of transformed examples; returns a pattern that finds it."""
    rng = np.random.default_rng(seed)
    scenes = [draw_scene(rng, height, width) for _ in range(count)]
    pixels = np.bincount(np.concatenate([m[m != VOID] for _, m in scenes]), minlength=len(CLASSES))
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for image, mask in scenes:
            writer.write(transformed_example(image, mask, pixels))
    return f"{path.parent}/*"


@pytest.fixture
def make_job(tmp_path: Path) -> Callable[..., TrainingJob]:
    """Makes jobs whose records are the same and whose folders are ``tmp_path``'s."""

    def make(
        train_count: int = 6,
        val_count: int = 3,
        height: int = 32,
        width: int = 32,
        name: str = "job",
        **trainer: object,
    ) -> TrainingJob:
        folder = tmp_path / f"records_{train_count}_{val_count}_{height}_{width}"
        settings = {"batch_size": 4, "epochs": 2, "precision": "float32", "devices": 1, **trainer}
        settings.setdefault("model", ModelConfig(width=4, head="fcn8s"))
        val = write_split(folder / "val/part.gz", val_count, 1, height, width) if val_count else None
        return TrainingJob(
            data=DataConfig(
                root="unused",
                classes=tuple(ClassConfig(id=i, name=n) for i, n in enumerate(CLASSES)),
                ignore_id=VOID,
            ),
            transform=TransformConfig(height_px=height, width_px=width),
            augment=None,
            trainer=TrainerConfig(**settings),
            train_patterns=(write_split(folder / "train/part.gz", train_count, 0, height, width),),
            val_patterns=(val,) if val else (),
            checkpoint_dir=str(tmp_path / name / "checkpoints"),
            log_dir=str(tmp_path / name / "logs"),
        )

    return make


@pytest.fixture
def tiny_network() -> Iterator[None]:
    """Lets trainings build a network that compiles in no time, for tests of what is around the network."""
    from tiny_network import build_tiny_model

    # Not by the fixture monkeypatch: tests undo that before their end.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainer.learner.build_model", build_tiny_model)
        yield
