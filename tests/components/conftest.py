"""Small real examples and a small real SavedModel with the contract's signatures.

The model needs no training: a pixel's class is its red value divided by 80. An ``offset`` added to the
red value first makes it as much worse as a test wants it.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

CLASS_NAMES = ("ground", "tree", "sky", "unicorn")
IGNORE_ID = 255
RED_PER_CLASS = 80


@dataclass(frozen=True)
class Scene:
    """One image and its mask."""

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    attributes: Mapping[str, str] = field(default_factory=dict)


def png(array: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


def predict(image: NDArray[np.uint8], offset: int = 0) -> NDArray[np.uint8]:
    """What the small model says, in numpy."""
    return (np.clip(image[..., 0].astype(int) + offset, 0, 239) // RED_PER_CLASS).astype(np.uint8)


def make_scene(seed: int, height: int, width: int, noise: float = 0.1, **attributes: str) -> Scene:
    """Three classes in blocks; a share of the mask's pixels is drawn anew, and some are void."""
    generator = np.random.default_rng(seed)
    blocks = generator.integers(0, 3, (-(-height // 8), -(-width // 8)))
    ids = np.kron(blocks, np.ones((8, 8), int))[:height, :width]
    image = generator.integers(0, 256, (height, width, 3)).astype(np.uint8)
    image[..., 0] = ids * RED_PER_CLASS + generator.integers(0, RED_PER_CLASS, ids.shape)
    changed = generator.random(ids.shape) < noise
    mask = np.where(changed, generator.integers(0, 3, ids.shape), ids).astype(np.uint8)
    mask[generator.random(ids.shape) < 0.05] = IGNORE_ID
    return Scene(image, mask, attributes)


def reference_matrix(scenes: Sequence[Scene], offset: int = 0) -> NDArray[np.int64]:
    """The confusion matrix pixel by pixel, independent of the code under test."""
    matrix = np.zeros((len(CLASS_NAMES), len(CLASS_NAMES)), np.int64)
    for scene in scenes:
        for truth, predicted in zip(scene.mask.ravel(), predict(scene.image, offset).ravel(), strict=True):
            if truth != IGNORE_ID:
                matrix[truth, predicted] += 1
    return matrix


@pytest.fixture(scope="session")
def small() -> ModuleType:
    """This module: its helpers and constants."""
    return sys.modules[__name__]


@pytest.fixture(scope="session")
def scenes() -> dict[str, list[Scene]]:
    """Images of several sizes in two splits, half of them with an attribute."""
    return {
        "val": [make_scene(seed, 24 + seed, 40 - seed, weather="sun") for seed in range(3)],
        "test": [
            make_scene(10, 16, 16, weather="sun"),
            make_scene(11, 33, 21, weather="rain"),
            make_scene(12, 8, 50, weather="rain"),
            make_scene(13, 40, 40),
        ],
    }


@pytest.fixture(scope="session")
def write_examples() -> Callable[[Path, Mapping[str, Sequence[Scene]]], Any]:
    """Writes raw examples as ingest does; returns the Examples artifact."""

    def write(folder: Path, splits: Mapping[str, Sequence[Scene]]) -> Any:
        import tensorflow as tf
        from tfx.types import artifact_utils, standard_artifacts

        for split, of in splits.items():
            target = folder / f"Split-{split}"
            target.mkdir(parents=True)
            path = str(target / "data_tfrecord-00000-of-00001.gz")
            with tf.io.TFRecordWriter(path, tf.io.TFRecordOptions(compression_type="GZIP")) as writer:
                for number, scene in enumerate(of):
                    writer.write(serialize(scene, split, f"{split}-{number}"))
        examples = standard_artifacts.Examples()
        examples.uri = str(folder)
        examples.split_names = artifact_utils.encode_split_names(list(splits))
        examples.set_string_custom_property("fingerprint", "data-1")
        return examples

    return write


def serialize(scene: Scene, split: str, image_id: str) -> bytes:
    import tensorflow as tf

    def feature(value: bytes | int) -> Any:
        if isinstance(value, int):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    encoded = png(scene.image)
    values: dict[str, bytes | int] = {
        "image/encoded": encoded,
        "image/format": b"png",
        "image/id": image_id.encode(),
        "image/split": split.encode(),
        "image/sha256": hashlib.sha256(encoded).hexdigest().encode(),
        "image/height_px": scene.image.shape[0],
        "image/width_px": scene.image.shape[1],
        "mask/encoded": png(scene.mask),
        **{f"attribute/{name}": value.encode() for name, value in scene.attributes.items()},
    }
    features = {key: feature(value) for key, value in values.items()}
    return bytes(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


@pytest.fixture(scope="session")
def write_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Exports the small model into ``folder/Format-Serving``; returns the Model artifact.

    Exports of the same offset are byte for byte the same files. ``change`` may replace signatures.
    """
    exported: dict[int, Path] = {}

    def write(
        folder: Path, offset: int = 0, change: Callable[[Any, dict[str, Any]], None] | None = None
    ) -> Any:
        import tensorflow as tf
        from tfx.types import standard_artifacts

        if offset not in exported or change:
            module = _build_module(offset)
            signatures = {
                "serving_default": module.serve,
                "image_tensor": module.image_tensor,
                "serve_examples": module.serve_examples,
                "evaluate": module.evaluate,
            }
            if change:
                change(module, signatures)
            target = tmp_path_factory.mktemp("exported") / "model"
            tf.saved_model.save(module, str(target), signatures=signatures)
            exported[-1 if change else offset] = target
        shutil.copytree(exported[-1 if change else offset], folder / "Format-Serving")
        model = standard_artifacts.Model()
        model.uri = str(folder)
        return model

    return write


def _build_module(offset: int) -> Any:
    import tensorflow as tf

    from data.decode_image import decode_image

    class SmallModel(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.offset = tf.Variable(offset, dtype=tf.int32, trainable=False)

        def class_ids(self, image: Any) -> Any:
            red = tf.clip_by_value(tf.cast(image[..., 0], tf.int32) + self.offset, 0, 239)
            return tf.cast(red // RED_PER_CLASS, tf.uint8)

        def decode(self, encoded: Any) -> Any:
            return decode_image(encoded)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
        def serve(self, image_bytes: Any) -> Any:
            def one(encoded: Any) -> Any:
                ids = self.class_ids(self.decode(encoded))
                return tf.io.encode_png(ids[..., None])

            masks = tf.map_fn(one, image_bytes, fn_output_signature=tf.string)
            return {"mask_png_bytes": masks, "mean_confidence": tf.fill(tf.shape(image_bytes), 0.75)}

        @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, "image_tensor")])
        def image_tensor(self, image_tensor: Any) -> Any:
            ids = self.class_ids(image_tensor)
            return {"class_ids": ids, "confidence": tf.fill(tf.shape(ids), 0.75)}

        def parse(self, example: Any) -> Any:
            spec = {key: tf.io.FixedLenFeature([], tf.string) for key in ("image/encoded", "mask/encoded")}
            return tf.io.parse_single_example(example, spec)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
        def serve_examples(self, examples: Any) -> Any:
            images = tf.map_fn(lambda example: self.parse(example)["image/encoded"], examples)
            return self.serve(images)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
        def evaluate(self, examples: Any) -> Any:
            classes = len(CLASS_NAMES)

            def one(example: Any) -> Any:
                parsed = self.parse(example)
                truth = tf.io.decode_png(parsed["mask/encoded"], channels=1)[..., 0]
                predicted = self.class_ids(self.decode(parsed["image/encoded"]))
                labelled = tf.not_equal(truth, IGNORE_ID)
                rows = tf.cast(tf.boolean_mask(truth, labelled), tf.int64)
                columns = tf.cast(tf.boolean_mask(predicted, labelled), tf.int64)
                pairs = tf.cast(rows * classes + columns, tf.int32)
                counts = tf.math.bincount(pairs, minlength=classes**2, maxlength=classes**2, dtype=tf.int64)
                return tf.reshape(counts, [classes, classes])

            matrices = tf.map_fn(
                one, examples, fn_output_signature=tf.TensorSpec([classes, classes], tf.int64)
            )
            return {"confusion_matrix": matrices}

    return SmallModel()


@pytest.fixture(autouse=True)
def hide_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """TFX hands the process' arguments to absl, which takes pytest's `-v` for its own."""
    monkeypatch.setattr(sys, "argv", sys.argv[:1])
