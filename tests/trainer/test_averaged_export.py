"""Flips, scales and windows in the signatures of the exported model, against numpy and each other."""

from __future__ import annotations

import io
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image

from data import features
from data.config import ClassConfig, DataConfig, TransformConfig
from trainer.average_variants import make_settings
from trainer.confusion_matrix import confusion_matrix
from trainer.inference_config import InferenceConfig
from trainer.served_model import ServedModel

# Networks are traced.
pytestmark = pytest.mark.slow

HEIGHT, WIDTH, VOID = 32, 48, 255
MEAN = np.full(3, 128.0, np.float32)
SIZES = ((32, 48), (37, 53), (130, 71), (20, 97), (1, 1))
AVERAGED = InferenceConfig(flip_horizontal=True, flip_vertical=True, scales=(0.75, 1.0))
WINDOWS = InferenceConfig(flip_horizontal=True, window_height_px=32, window_width_px=32)


def draw(seed: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Blobs of colour."""
    small = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), np.uint8)
    return np.asarray(Image.fromarray(small).resize(size[::-1], Image.Resampling.BICUBIC))


def to_png(pixels: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def read_mask(png: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(png)))


def make_example(image: bytes, mask: bytes) -> bytes:
    values = {features.IMAGE_ENCODED: image, features.MASK_ENCODED: mask}
    lists = {key: tf.train.BytesList(value=[value]) for key, value in values.items()}
    kinds = {key: tf.train.Feature(bytes_list=value) for key, value in lists.items()}
    return bytes(tf.train.Example(features=tf.train.Features(feature=kinds)).SerializeToString())


def build(kernel: NDArray[np.float32], inference: InferenceConfig) -> ServedModel:
    """A network of one convolution, a class a channel. Its methods are the signatures of the export."""
    images = keras.Input((None, None, 3))
    convolution = keras.layers.Conv2D(3, kernel.shape[0], padding="same", use_bias=False)
    network = keras.Model(images, convolution(images))
    convolution.set_weights([kernel])
    data = DataConfig(
        root="unused", classes=tuple(ClassConfig(id=i, name=str(i)) for i in range(3)), ignore_id=VOID
    )
    transform = TransformConfig(height_px=HEIGHT, width_px=WIDTH)
    return ServedModel(network, 3, data, transform, MEAN, inference)


BRIGHTEST = np.eye(3, dtype=np.float32)[None, None] / 16
"""Of a pixel's channels the largest is its class."""


def look_left() -> NDArray[np.float32]:
    """Red here, green one pixel to the left, blue one pixel above."""
    kernel = np.zeros((3, 3, 3, 3), np.float32)
    kernel[1, 1, 0, 0] = kernel[1, 0, 1, 1] = kernel[0, 1, 2, 2] = 1 / 16
    return kernel


@pytest.fixture(scope="module")
def averaged() -> ServedModel:
    return build(look_left(), AVERAGED)


@pytest.fixture(scope="module")
def once() -> ServedModel:
    return build(look_left(), InferenceConfig())


@pytest.fixture(scope="module")
def by_windows() -> ServedModel:
    return build(BRIGHTEST, WINDOWS)


Answers = list[tuple[NDArray[np.uint8], float]]


def read(answer: dict[str, tf.Tensor]) -> Answers:
    """Returns masks and mean confidences."""
    masks = [read_mask(mask) for mask in answer["mask_png_bytes"].numpy()]
    return list(zip(masks, answer["mean_confidence"].numpy().tolist(), strict=True))


def encode(images: list[NDArray[np.uint8]]) -> tf.Tensor:
    return tf.constant([to_png(image) for image in images])


def ask(model: ServedModel, images: list[NDArray[np.uint8]], config: InferenceConfig) -> Answers:
    return read(model.serve_with_options(encode(images), *make_settings(config)))


def average_by_hand(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Probabilities of an image of the working size under ``AVERAGED``, by numpy and Pillow."""

    def resize(pixels: NDArray[Any], height: int, width: int) -> NDArray[np.float32]:
        channels = [
            Image.fromarray(np.ascontiguousarray(channel)).resize((width, height), Image.Resampling.BILINEAR)
            for channel in np.moveaxis(pixels.astype(np.float32), -1, 0)
        ]
        return np.stack([np.asarray(channel) for channel in channels], axis=-1)

    total = np.zeros((HEIGHT, WIDTH, 3))
    for size in ((24, 36), (32, 48)):
        for turn in (np.s_[:, :], np.s_[:, ::-1], np.s_[::-1], np.s_[::-1, ::-1]):
            seen = np.pad(resize(image, *size)[turn], ((1, 0), (1, 0), (0, 0)))
            logits = np.stack([seen[1:, 1:, 0], seen[1:, :-1, 1], seen[:-1, 1:, 2]], axis=-1) / 16
            logits = resize(logits[turn], HEIGHT, WIDTH)
            exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
            total += exponentials / exponentials.sum(axis=-1, keepdims=True)
    return total / 8


def test_flips_and_scales_are_those_worked_out_by_hand(averaged: ServedModel, once: ServedModel) -> None:
    image = draw(1, (HEIGHT, WIDTH))
    expected = average_by_hand(image)
    answer = averaged.serve_tensor(tf.constant(image[None]))
    ids, confidence = answer["class_ids"].numpy()[0], answer["confidence"].numpy()[0]
    np.testing.assert_allclose(confidence, expected.max(axis=-1), atol=1e-4)
    chosen = np.take_along_axis(expected, ids[..., None].astype(int), axis=-1)
    np.testing.assert_allclose(chosen[..., 0], expected.max(axis=-1), atol=1e-4)
    assert (read(once.serve_images(encode([image])))[0][0] != ids).mean() > 0.05, "proves nothing"


@pytest.mark.parametrize("name", ["averaged", "by_windows"])
def test_all_signatures_agree(name: str, request: pytest.FixtureRequest) -> None:
    model: ServedModel = request.getfixturevalue(name)
    images = [draw(seed, size) for seed, size in enumerate(SIZES)]
    served = read(model.serve_images(encode(images)))
    rng = np.random.default_rng(0)
    masks = [rng.choice(np.array([0, 1, 2, VOID], np.uint8), size) for size in SIZES]
    pairs = zip(images, masks, strict=True)
    examples = tf.constant([make_example(to_png(image), to_png(mask)) for image, mask in pairs])
    again = read(model.serve_examples(examples))
    matrices = model.evaluate(examples)["confusion_matrix"].numpy()
    for index, (image, (ids, confidence)) in enumerate(zip(images, served, strict=True)):
        np.testing.assert_array_equal(again[index][0], ids)
        np.testing.assert_array_equal(matrices[index], confusion_matrix(masks[index], ids, 3, VOID))
        answer = model.serve_tensor(tf.constant(image[None]))
        np.testing.assert_array_equal(answer["class_ids"].numpy()[0], ids)
        assert confidence == pytest.approx(answer["confidence"].numpy().mean(), abs=1e-5)


def test_windows_see_large_images_at_their_own_size(by_windows: ServedModel) -> None:
    # Noise: shrinking to the working size would mix neighbouring pixels.
    rng = np.random.default_rng(3)
    images = [rng.integers(0, 256, (*size, 3), np.uint8) for size in ((130, 71), (33, 49), (20, 97))]
    for image, (ids, _) in zip(images, read(by_windows.serve_images(encode(images))), strict=True):
        chosen = np.take_along_axis(image, ids[..., None].astype(int), axis=-1)[..., 0]
        np.testing.assert_array_equal(chosen, image.max(axis=-1))


def test_windows_of_a_pointwise_network_are_one_pass(by_windows: ServedModel) -> None:
    images = [draw(seed, size) for seed, size in enumerate(SIZES)]
    expected = ask(by_windows, images, InferenceConfig())
    changes = {"window_resolution": "working", "window_weighting": "uniform"}
    working = ask(by_windows, images, WINDOWS.model_copy(update=changes))
    for (ids, confidence), (one_ids, one_confidence) in zip(working, expected, strict=True):
        # Where two classes are level either may win.
        assert (ids != one_ids).mean() < 1e-3
        assert confidence == pytest.approx(one_confidence, abs=1e-5)


def test_other_options_are_asked_of_the_same_model(averaged: ServedModel, once: ServedModel) -> None:
    """serve_with_options answers as if its options, and none other, were built in."""
    images = [draw(seed, size) for seed, size in enumerate(SIZES)]
    built_in, plain = (read(model.serve_images(encode(images))) for model in (averaged, once))
    for (ids, confidence), (expected, other) in zip(ask(once, images, AVERAGED), built_in, strict=True):
        np.testing.assert_array_equal(ids, expected)
        assert confidence == other
    asked = ask(averaged, images, InferenceConfig())
    for (ids, confidence), (expected, other) in zip(asked, plain, strict=True):
        assert (ids != expected).mean() < 1e-3
        assert confidence == pytest.approx(other, abs=1e-4)


def test_an_empty_batch_gives_an_empty_answer(averaged: ServedModel) -> None:
    answer = averaged.serve_images(tf.constant([], tf.string))
    assert answer["mask_png_bytes"].shape == answer["mean_confidence"].shape == (0,)
