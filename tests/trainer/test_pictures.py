"""Pictures for TensorBoard: what they show, how often they are written, and that training writes them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from data.classes import ClassTable, SegmentationClass
from trainer import pictures
from trainer.pictures import PictureWriter, choose_scenes, draw_legend, draw_scene
from trainer.train import TrainingJob, train

RED, GREEN = (200, 0, 0), (0, 100, 0)
TABLE = ClassTable((SegmentationClass(0, "ground", RED), SegmentationClass(1, "box", GREEN)), 255)


def read_images(folder: str) -> dict[str, dict[int, np.ndarray]]:
    """Returns the pictures of the event files by name and step, read without our code."""
    found: dict[str, dict[int, np.ndarray]] = {}
    for path in Path(folder).glob("events.out.tfevents.*"):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "images" or value.tag in found:
                    png = value.tensor.string_val[2]
                    pixels = np.asarray(Image.open(io.BytesIO(png)))
                    found.setdefault(value.tag, {})[event.step] = pixels
    return found


def test_a_scene_is_image_truth_and_prediction() -> None:
    image = np.full((4, 6, 3), 100.0, np.float32)
    truth = np.zeros((4, 6), np.uint8)
    truth[:, 3:], truth[0, 0] = 1, 255
    prediction = np.ones((4, 6), np.uint8)
    picture = draw_scene(image, truth, prediction, TABLE)
    assert picture.shape == (4 + 4 + 4 + 4 + 4, 6, 3)
    assert (picture[:4] == 100).all() and (picture[4:8] == 255).all()
    # Half image, half colour.
    assert (picture[9, :3] == (150, 50, 50)).all() and (picture[9, 3:] == (50, 100, 50)).all()
    assert tuple(picture[8, 0]) in {(32, 32, 32), (128, 128, 128)}, "void"
    assert (picture[16:] == (50, 100, 50)).all()
    # Tall ones stand side by side.
    tall = draw_scene(image.swapaxes(0, 1), truth.T, prediction.T, TABLE)
    np.testing.assert_array_equal(tall, picture.swapaxes(0, 1))


def test_large_scenes_are_scaled_down() -> None:
    ids = np.zeros((500, 1000), np.uint8)
    picture = draw_scene(np.zeros((500, 1000, 3), np.float32), ids, ids, TABLE)
    assert picture.shape == (3 * 160 + 8, 320, 3)


def test_the_legend_has_every_colour() -> None:
    colours = {tuple(pixel) for pixel in draw_legend(TABLE).reshape(-1, 3)}
    assert {RED, GREEN, (32, 32, 32), (128, 128, 128), (255, 255, 255)} <= colours


def test_scenes_are_those_with_most_classes_and_never_padding() -> None:
    masks = np.full((5, 2, 2), 255, np.uint8)
    masks[0], masks[2], masks[3] = 0, [[0, 1], [1, 255]], [[0, 1], [2, 2]]
    batch = {
        "image": np.arange(5, dtype=np.float32)[:, None, None, None] * np.ones((5, 2, 2, 3)),
        "mask": masks,
    }
    assert [image[0, 0, 0] for image, _ in choose_scenes([batch, None], 255)] == [0, 2, 3]
    assert choose_scenes([], 255) == []


class _Events:
    def __init__(self) -> None:
        self.steps: list[int] = []

    def write_images(self, images: Any, step: int, description: str) -> None:
        self.steps.append(step)


def _write(writer: PictureWriter, progress: list[float], elapsed_seconds: float) -> None:
    for step, share in enumerate(progress):
        writer.write(lambda images, training: np.zeros((1, 2, 2, 2)), step, share, elapsed_seconds)  # type: ignore[arg-type]


def make_writer(events: _Events) -> PictureWriter:
    batch = {"image": np.zeros((1, 2, 2, 3), np.float32), "mask": np.zeros((1, 2, 2), np.uint8)}
    return PictureWriter(events, [batch], TABLE)  # type: ignore[arg-type]


def test_pictures_come_with_each_tenth_of_the_training() -> None:
    events = _Events()
    _write(make_writer(events), [0.01, 0.02, 0.11, 0.12, 0.19, 0.35, 0.99, 1.0, 1.0], 1e9)
    assert events.steps == [0, 2, 5, 6, 7]


def test_where_time_is_short_there_are_the_first_and_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr(pictures.time, "monotonic", lambda: next(clock))
    events = _Events()
    # A second for each time, of 50 that have passed: more than one in a hundred.
    _write(make_writer(events), [0.01, 0.2, 0.5, 0.8, 1.0], 50.0)
    assert events.steps == [0, 4]


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_network")
@pytest.mark.parametrize("settings", [{}, {"ema_momentum": 0.5}])
def test_training_writes_the_same_scenes_at_each_validation(
    make_job: Callable[..., TrainingJob], monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    monkeypatch.setattr(pictures, "_SHARE_OF_TIME", 1.0)
    job = make_job(train_count=4, val_count=5, epochs=3, **settings)
    train(job)
    images = read_images(job.log_dir)
    assert set(images) == {"val_images/classes", "val_images/1", "val_images/2", "val_images/3"}
    for number in (1, 2, 3):
        steps = images[f"val_images/{number}"]
        assert list(steps) == [1, 2, 3]
        shape, photo = (3 * 32 + 8, 32, 3), steps[1][:32]
        assert all(one.shape == shape and (one[:32] == photo).all() for one in steps.values())
        # Truth stays, too.
        assert all((one[36:68] == steps[1][36:68]).all() for one in steps.values())
    assert len(list(Path(job.log_dir).glob("events.*"))) == 1, "TensorBoard follows one file at a time"


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_network")
def test_without_validation_there_are_no_pictures(make_job: Callable[..., TrainingJob]) -> None:
    job = make_job(val_count=0, epochs=1)
    train(job)
    assert read_images(job.log_dir) == {}
