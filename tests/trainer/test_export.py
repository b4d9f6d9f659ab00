"""Every signature of the exported model against a recomputation with numpy and Pillow."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from data import features
from data.config import ClassConfig, DataConfig, TransformConfig
from data.read_transformed import DatasetStatistics
from trainer.batch_normalization import SynchronizedBatchNormalization
from trainer.build_model import build_model
from trainer.confusion_matrix import confusion_matrix
from trainer.export import export_model
from trainer.model_config import ModelConfig

# The network is traced for four signatures.
pytestmark = pytest.mark.slow

CLASSES, VOID = 4, 255
MEAN = np.array([100.0, 90.0, 80.0], np.float32)
WORKING_SIZE = TransformConfig(height_px=48, width_px=64)
CONFIG = ModelConfig(width=4, head="fcn4s")

# Height and width; odd, tiny, larger than the working size, tall, wide.
SIZES = ((48, 64), (37, 53), (1, 1), (130, 71), (20, 97))


def random_image(seed: int, size: tuple[int, int], channels: int = 3) -> np.ndarray:
    """Blobs of colour, so that classes come in areas."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (7, 9, 4), np.uint8), "RGBA")
    return np.asarray(small.resize(size[::-1], Image.Resampling.BICUBIC))[..., :channels]


def to_file(pixels: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels).save(stream, kind, **options)
    return stream.getvalue()


def read_mask(encoded: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(encoded))
    assert image.mode == "L" and image.format == "PNG"
    return np.asarray(image)


@pytest.fixture(scope="module")
def network() -> keras.Model:
    """A network whose scores differ from place to place: random weights, moments of random images."""
    keras.utils.set_random_seed(6)
    model = build_model(CONFIG, CLASSES, MEAN.tolist(), [60.0] * 3)
    rng = np.random.default_rng(6)
    for layer in model.layers:
        if layer.name.startswith("score_"):
            layer.set_weights([rng.normal(0, 0.5, w.shape) for w in layer.get_weights()])
    images = np.stack([random_image(seed, (48, 64)) for seed in range(8)]).astype(np.float32)
    for layer in model.layers:
        if isinstance(layer, SynchronizedBatchNormalization):
            layer.momentum = 0.0
    model(images, training=True)
    return model


@pytest.fixture(scope="module")
def exported(network: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "Format-Serving"
    statistics = DatasetStatistics(MEAN, np.full(3, 60.0, np.float32), np.ones(4), np.ones(4), 8)
    data = DataConfig(
        root="unused", classes=tuple(ClassConfig(id=i, name=str(i)) for i in range(CLASSES)), ignore_id=VOID
    )
    export_model(network, CONFIG, data, WORKING_SIZE, statistics, str(folder))
    return folder


@pytest.fixture(scope="module")
def signatures(exported: Path) -> Mapping[str, Callable[..., dict[str, tf.Tensor]]]:
    return tf.saved_model.load(str(exported)).signatures


def letterbox(image: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
    """Scales to fit 48x64 and pads with the mean; returns the frame and the content's size."""
    height, width = image.shape[:2]
    rows = max(1, min(48, int(height * 64 / width + 0.5)))
    columns = max(1, min(64, int(width * 48 / height + 0.5)))
    resized = tf.image.resize(image.astype(np.float32), (rows, columns), antialias=True)
    frame = np.broadcast_to(np.round(MEAN), (48, 64, 3)).copy()
    frame[:rows, :columns] = np.round(resized)
    return frame, (rows, columns)


def predict(network: keras.Model, image: np.ndarray) -> np.ndarray:
    """Returns probabilities [height, width, classes] at the image's own size."""
    frame, (rows, columns) = letterbox(image)
    logits = np.asarray(network(frame[np.newaxis], training=False))[0, :rows, :columns]
    logits = tf.image.resize(logits, image.shape[:2], antialias=True).numpy().astype(np.float64)
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def make_example(image_bytes: bytes, mask: np.ndarray) -> bytes:
    values = {features.IMAGE_ENCODED: image_bytes, features.MASK_ENCODED: to_file(mask)}
    return tf.train.Example(
        features=tf.train.Features(
            feature={
                key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
                for key, value in values.items()
            }
        )
    ).SerializeToString()


def test_signatures_have_the_agreed_names_types_and_shapes(signatures: Mapping[str, Any]) -> None:
    def describe(specs: Mapping[str, Any]) -> dict[str, tuple[str, list[int | None]]]:
        return {name: (spec.dtype.name, spec.shape.as_list()) for name, spec in specs.items()}

    agreed = {
        "serving_default": (
            {"image_bytes": ("string", [None])},
            {"mask_png_bytes": ("string", [None]), "mean_confidence": ("float32", [None])},
        ),
        "image_tensor": (
            {"image_tensor": ("uint8", [None, None, None, 3])},
            {
                "class_ids": ("uint8", [None, None, None]),
                "confidence": ("float32", [None, None, None]),
            },
        ),
        "serve_examples": (
            {"examples": ("string", [None])},
            {"mask_png_bytes": ("string", [None]), "mean_confidence": ("float32", [None])},
        ),
        "evaluate": (
            {"examples": ("string", [None])},
            {"confusion_matrix": ("int64", [None, CLASSES, CLASSES])},
        ),
        "serve_with_options": (
            {
                "image_bytes": ("string", [None]),
                "variants": ("float32", [None, 3]),
                "window_px": ("int32", [2]),
                "window_overlap": ("float32", []),
                "window_is_gaussian": ("bool", []),
                "window_is_native": ("bool", []),
            },
            {"mask_png_bytes": ("string", [None]), "mean_confidence": ("float32", [None])},
        ),
        "prepare_images": (
            {"image_bytes": ("string", [None])},
            {
                "frames": ("float32", [None, 48, 64, 3]),
                "sizes_px": ("int32", [None, 2]),
                "content_sizes_px": ("int32", [None, 2]),
                "tile_step_px": ("int32", []),
                "tile_reach_px": ("int32", []),
                "tile_pixel_bytes": ("int32", []),
            },
        ),
        "predict_tiles": (
            {"tiles": ("float32", [None, None, None, 3])},
            {"logits": ("float32", [None, None, None, CLASSES])},
        ),
    }
    assert set(signatures) == set(agreed)
    for name, (inputs, outputs) in agreed.items():
        assert describe(signatures[name].structured_input_signature[1]) == inputs
        assert describe(signatures[name].structured_outputs) == outputs


def test_serving_default_on_a_mixed_batch(network: keras.Model, signatures: Mapping[str, Any]) -> None:
    images = [random_image(seed, size) for seed, size in enumerate(SIZES)]
    answer = signatures["serving_default"](image_bytes=tf.constant([to_file(image) for image in images]))
    seen = set()
    for image, mask_png, confidence in zip(
        images, answer["mask_png_bytes"].numpy(), answer["mean_confidence"].numpy(), strict=True
    ):
        probabilities, mask = predict(network, image), read_mask(mask_png)
        assert mask.shape == image.shape[:2]
        # Where two classes are level to float tolerance either may win.
        chosen = np.take_along_axis(probabilities, mask[..., np.newaxis].astype(int), axis=-1)[..., 0]
        np.testing.assert_allclose(chosen, probabilities.max(axis=-1), atol=1e-4)
        assert confidence == pytest.approx(probabilities.max(axis=-1).mean(), abs=1e-4)
        seen |= set(np.unique(mask))
    assert len(seen) >= 3, "a network of one answer would prove nothing"


def test_answers_do_not_depend_on_the_rest_of_the_batch(signatures: Mapping[str, Any]) -> None:
    files = [to_file(random_image(seed, size)) for seed, size in enumerate(SIZES)]
    together = signatures["serving_default"](image_bytes=tf.constant(files))["mask_png_bytes"].numpy()
    for file, expected in zip(files, together, strict=True):
        alone = signatures["serving_default"](image_bytes=tf.constant([file]))["mask_png_bytes"].numpy()[0]
        assert (read_mask(alone) != read_mask(expected)).mean() < 1e-3


def test_grey_alpha_and_palette_are_read_as_rgb(signatures: Mapping[str, Any]) -> None:
    rgba = random_image(3, (40, 50), 4)
    grey = rgba[..., :1]
    palette = Image.fromarray(rgba[..., :3]).quantize(32)
    stream = io.BytesIO()
    palette.save(stream, "PNG")
    pairs = [
        (to_file(grey), to_file(np.repeat(grey, 3, axis=-1))),
        (to_file(rgba), to_file(rgba[..., :3])),
        (stream.getvalue(), to_file(np.asarray(palette.convert("RGB")))),
    ]
    for file, as_rgb in pairs:
        answer = signatures["serving_default"](image_bytes=tf.constant([file, as_rgb]))["mask_png_bytes"]
        first, second = answer.numpy()
        np.testing.assert_array_equal(read_mask(first), read_mask(second))


def test_jpeg_is_turned_as_exif_says(signatures: Mapping[str, Any]) -> None:
    image = random_image(1, (40, 64))
    exif = Image.Exif()
    # 6: to be turned a quarter clockwise to be seen.
    exif[0x0112] = 6
    turned, plain = to_file(image, "JPEG", quality=95, exif=exif), to_file(image, "JPEG", quality=95)
    upright = np.rot90(np.asarray(Image.open(io.BytesIO(plain))), -1)
    answer = signatures["serving_default"](image_bytes=tf.constant([turned, to_file(upright)]))
    first, second = (read_mask(mask) for mask in answer["mask_png_bytes"].numpy())
    assert first.shape == (64, 40)
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("size", [(48, 64), (37, 53), (130, 71)])
def test_image_tensor_agrees_with_serving_default(
    network: keras.Model, signatures: Mapping[str, Any], size: tuple[int, int]
) -> None:
    images = np.stack([random_image(seed, size) for seed in (1, 2)])
    answer = signatures["image_tensor"](image_tensor=tf.constant(images))
    encoded = signatures["serving_default"](image_bytes=tf.constant([to_file(image) for image in images]))
    class_ids, confidence = answer["class_ids"].numpy(), answer["confidence"].numpy()
    assert class_ids.shape == confidence.shape == (2, *size)
    for index, image in enumerate(images):
        np.testing.assert_array_equal(class_ids[index], read_mask(encoded["mask_png_bytes"].numpy()[index]))
        np.testing.assert_allclose(confidence[index], predict(network, image).max(axis=-1), atol=1e-4)
        assert encoded["mean_confidence"].numpy()[index] == pytest.approx(confidence[index].mean(), abs=1e-5)


def test_serve_examples_and_evaluate_agree_with_serving_default(signatures: Mapping[str, Any]) -> None:
    rng = np.random.default_rng(0)
    images = [random_image(seed, size) for seed, size in enumerate(SIZES)]
    files = [to_file(image) for image in images]
    masks = [rng.integers(0, CLASSES, size).astype(np.uint8) for size in SIZES]
    masks[0][:10] = VOID
    masks[2][:] = VOID
    examples = tf.constant([make_example(file, mask) for file, mask in zip(files, masks, strict=True)])
    expected = signatures["serving_default"](image_bytes=tf.constant(files))
    answer = signatures["serve_examples"](examples=examples)
    assert answer["mask_png_bytes"].numpy().tolist() == expected["mask_png_bytes"].numpy().tolist()
    np.testing.assert_array_equal(answer["mean_confidence"], expected["mean_confidence"])
    matrices = signatures["evaluate"](examples=examples)["confusion_matrix"].numpy()
    for matrix, mask, mask_png in zip(matrices, masks, expected["mask_png_bytes"].numpy(), strict=True):
        np.testing.assert_array_equal(matrix, confusion_matrix(mask, read_mask(mask_png), CLASSES, VOID))
    assert not matrices[2].any() and matrices[1].sum() == 37 * 53


def test_an_empty_batch_gives_an_empty_answer(signatures: Mapping[str, Any]) -> None:
    answer = signatures["serving_default"](image_bytes=tf.constant([], tf.string))
    assert answer["mask_png_bytes"].shape == (0,)


def test_damaged_image_is_an_invalid_argument(signatures: Mapping[str, Any]) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        signatures["serving_default"](image_bytes=tf.constant([b"no image"]))


def test_export_leaves_nothing_unfinished_behind(exported: Path) -> None:
    assert [path.name for path in exported.parent.iterdir()] == ["Format-Serving"]
    assert (exported / "saved_model.pb").is_file()


def test_loads_with_plain_tensorflow_and_none_of_our_code(exported: Path, tmp_path: Path) -> None:
    image = tmp_path / "image.png"
    image.write_bytes(to_file(random_image(0, (37, 53))))
    code = (
        "import sys, tensorflow as tf\n"
        f"answer = tf.saved_model.load({str(exported)!r}).signatures['serving_default'](\n"
        f"    image_bytes=tf.constant([open({str(image)!r}, 'rb').read()]))\n"
        "mask = tf.io.decode_png(answer['mask_png_bytes'][0])\n"
        "assert mask.shape == (37, 53, 1), mask.shape\n"
        "assert not {'trainer', 'data'} & set(sys.modules)\n"
    )
    # -I: neither the working folder nor PYTHONPATH, so that our packages cannot be found.
    finished = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
