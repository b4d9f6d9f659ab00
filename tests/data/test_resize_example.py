from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from data.resize_example import (
    content_size,
    letterbox_image,
    letterbox_mask,
    nearest_pixels,
    resize_content,
    restore_logits,
    round_to_depth,
)

VOID = 255
GREY = tf.constant([10.0, 20.0, 30.0])


def size_of(*sizes: int) -> tuple[int, int]:
    height, width = content_size(*sizes)
    return int(height), int(width)


@pytest.mark.parametrize(
    ("native", "frame", "content"),
    [
        ((360, 480), (96, 96), (72, 96)),
        ((480, 360), (96, 96), (96, 72)),
        ((80, 80), (80, 80), (80, 80)),
        ((72, 96), (80, 80), (60, 80)),
        ((5, 3), (8, 8), (8, 5)),  # 3 * 8 / 5 = 4.8
        ((2, 1), (9, 9), (9, 5)),  # 4.5 is rounded up
        ((1, 1000), (96, 96), (1, 96)),
        ((1000, 1), (64, 96), (64, 1)),
        ((1, 1), (64, 96), (64, 64)),
        ((20_000, 65_535), (8192, 8192), (2500, 8192)),
    ],
)
def test_content_fits_the_frame_and_keeps_its_shape(native: Any, frame: Any, content: Any) -> None:
    assert size_of(*native, *frame) == content


def test_one_side_of_the_content_is_always_the_frames_own() -> None:
    rng = np.random.default_rng(0)
    for height, width, to_height, to_width in rng.integers(1, 300, size=(200, 4)).tolist():
        rows, columns = size_of(height, width, to_height, to_width)
        assert 1 <= rows <= to_height and 1 <= columns <= to_width
        assert rows == to_height or columns == to_width
        scale = min(to_height / height, to_width / width)
        assert abs(rows - max(1, height * scale)) <= 0.5 + 1e-9
        assert abs(columns - max(1, width * scale)) <= 0.5 + 1e-9


def test_an_image_of_the_frames_size_is_left_as_it_is() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, size=(12, 20, 3)).astype(np.float32)
    mask = np.random.default_rng(1).integers(0, 256, size=(12, 20)).astype(np.uint8)
    np.testing.assert_array_equal(letterbox_image(tf.constant(pixels), 12, 20, GREY), pixels)
    np.testing.assert_array_equal(letterbox_mask(tf.constant(mask), 12, 20, VOID), mask)


def test_padding_lies_at_the_bottom_or_on_the_right_with_the_fill_and_void() -> None:
    image = letterbox_image(tf.fill([10, 20, 3], 200.0), 16, 16, tf.constant([10.4, 20.5, 30.6]))
    mask = letterbox_mask(tf.fill([10, 20], tf.constant(7, tf.uint8)), 16, 16, VOID)
    assert image.dtype == tf.float32 and mask.dtype == tf.uint8
    np.testing.assert_array_equal(image[:8], np.full((8, 16, 3), 200))
    np.testing.assert_array_equal(image[8:], np.broadcast_to([10, 20, 31], (8, 16, 3)))
    np.testing.assert_array_equal(mask, np.r_[np.full((8, 16), 7), np.full((8, 16), VOID)])
    tall = letterbox_mask(tf.fill([20, 10], tf.constant(7, tf.uint8)), 16, 16, VOID)
    np.testing.assert_array_equal(tall, np.transpose(mask))


def test_values_are_what_records_of_the_depth_hold() -> None:
    image = tf.constant(np.random.default_rng(0).uniform(-3, 260, (6, 5, 3)).astype(np.float32))
    eight = letterbox_image(image, 17, 13, GREY).numpy()
    assert np.array_equal(eight, np.rint(eight)) and eight.min() >= 0 and eight.max() <= 255
    sixteen = letterbox_image(image, 17, 13, GREY, 16).numpy() * 257
    np.testing.assert_allclose(sixteen, np.rint(sixteen), atol=0.01)
    assert np.any(np.rint(sixteen) % 257)
    np.testing.assert_array_equal(round_to_depth(tf.constant([0.4, 0.6, -1.0, 300.0]), 8), [0, 1, 0, 255])


@pytest.mark.parametrize(
    ("native", "frame"), [((61, 47), (20, 16)), ((11, 17), (40, 64)), ((30, 30), (45, 45))]
)
def test_images_are_resized_as_pillow_resizes_them(native: Any, frame: Any) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, size=(*native, 3)).astype(np.uint8)
    rows, columns = size_of(*native, *frame)
    image = Image.fromarray(pixels).resize((columns, rows), Image.Resampling.BILINEAR)
    resized = resize_content(tf.constant(pixels, tf.float32), *frame)
    np.testing.assert_allclose(resized, np.asarray(image, np.float32), atol=1)


@pytest.mark.parametrize(
    ("native", "frame"), [((61, 47), (20, 16)), ((11, 17), (40, 64)), ((33, 21), (99, 63))]
)
def test_masks_are_resized_as_pillow_resizes_them(native: Any, frame: Any) -> None:
    ids = np.random.default_rng(3).integers(0, 256, size=native).astype(np.uint8)
    rows, columns = size_of(*native, *frame)
    nearest = Image.fromarray(ids).resize((columns, rows), Image.Resampling.NEAREST)
    mask = letterbox_mask(tf.constant(ids), *frame, VOID).numpy()
    np.testing.assert_array_equal(mask[:rows, :columns], np.asarray(nearest))


def test_the_nearest_pixel_is_the_one_whose_area_holds_the_new_centre() -> None:
    assert nearest_pixels(tf.constant(9), tf.constant(3)).numpy().tolist() == [1, 4, 7]
    assert nearest_pixels(tf.constant(3), tf.constant(6)).numpy().tolist() == [0, 0, 1, 1, 2, 2]
    # Centres between two pixels: the inner one.
    assert nearest_pixels(tf.constant(8), tf.constant(4)).numpy().tolist() == [1, 3, 4, 6]


@pytest.mark.parametrize(("native", "frame"), [(40, 20), (40, 24), (41, 20), (24, 37), (9, 80), (80, 9)])
def test_what_is_symmetric_stays_symmetric(native: int, frame: int) -> None:
    half = np.random.default_rng(4).integers(0, 9, size=(native, native)).astype(np.uint8)
    ids = np.maximum(half, half[::-1])
    ids = np.maximum(ids, ids[:, ::-1])
    mask = letterbox_mask(tf.constant(ids), frame, frame, VOID).numpy()
    np.testing.assert_array_equal(mask, mask[::-1])
    np.testing.assert_array_equal(mask, mask[:, ::-1])
    image = letterbox_image(
        tf.constant(np.repeat(ids[..., None], 3, 2), tf.float32), frame, frame, GREY
    ).numpy()
    np.testing.assert_allclose(image, image[::-1], atol=1)
    np.testing.assert_allclose(image, image[:, ::-1], atol=1)


@pytest.mark.parametrize(
    ("native", "frame"), [((60, 84), (20, 28)), ((45, 63), (30, 42)), ((13, 17), (52, 68))]
)
def test_a_mask_that_equals_its_image_stays_in_place_with_it(native: Any, frame: Any) -> None:
    rows, columns = np.mgrid[: native[0], : native[1]]
    disc = (rows - native[0] * 0.4) ** 2 + (columns - native[1] * 0.6) ** 2 < (min(native) * 0.3) ** 2
    ids = disc.astype(np.uint8) * 200
    image = letterbox_image(tf.constant(np.repeat(ids[..., None], 3, 2), tf.float32), *frame, GREY).numpy()
    mask = letterbox_mask(tf.constant(ids), *frame, VOID).numpy().astype(float)
    # Only on the disc's border may they differ; the centres of mass agree to a tenth of a pixel.
    inside = (image[..., 0] < 2) | (image[..., 0] > 198)
    np.testing.assert_allclose(mask[inside], image[..., 0][inside], atol=2)
    for axis in (0, 1):
        places = np.arange(frame[axis])
        of_image = image[..., 0].sum(axis=1 - axis) @ places / image[..., 0].sum()
        of_mask = mask.sum(axis=1 - axis) @ places / mask.sum()
        assert abs(of_image - of_mask) < 0.15


def test_constant_logits_come_back_constant_without_their_padding() -> None:
    logits = np.full((16, 16, 4), -50, np.float32)
    logits[:8] = [1, 2, 3, 4]
    restored = restore_logits(tf.constant(logits), tf.constant(33), tf.constant(66)).numpy()
    assert restored.shape == (33, 66, 4)
    np.testing.assert_allclose(restored, np.broadcast_to([1, 2, 3, 4], (33, 66, 4)), atol=1e-6)


@pytest.mark.parametrize("native", [(96, 48), (31, 77), (200, 201), (24, 24), (7, 9)])
def test_logits_are_restored_as_an_independent_interpolation_does(native: Any) -> None:
    logits = np.random.default_rng(5).normal(size=(24, 32, 3)).astype(np.float32)
    rows, columns = size_of(*native, 24, 32)
    restored = restore_logits(tf.constant(logits), tf.constant(native[0]), tf.constant(native[1])).numpy()
    for channel in range(3):
        plane = Image.fromarray(logits[:rows, :columns, channel])
        wanted = np.asarray(plane.resize((native[1], native[0]), Image.Resampling.BILINEAR))
        np.testing.assert_allclose(restored[..., channel], wanted, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("native", [(64, 64), (96, 128), (50, 75), (41, 64)])
def test_there_and_back_edges_stay_where_they_were(native: Any) -> None:
    restore = tf.function(
        lambda mask: tf.argmax(restore_logits(tf.one_hot(tf.cast(mask, tf.int32), 2), *native), axis=-1)
    )
    moved = []
    for edge in range(4, native[1] - 4, 3):
        ids = np.zeros(native, np.uint8)
        ids[:, edge:] = 1
        back = restore(letterbox_mask(tf.constant(ids), 64, 64, VOID)).numpy()
        assert (back == back[:1]).all()
        moved.append(native[1] - int(back[0].sum()) - edge)
    # Half a working pixel for the nearest neighbour, half a native one for the border found again.
    assert max(np.abs(moved)) <= native[1] / 64 / 2 + 0.5
    assert abs(np.mean(moved)) <= 0.1
    if native[1] == 64:
        assert not any(moved)


def test_it_all_runs_in_a_graph_with_unknown_sizes() -> None:
    @tf.function(input_signature=[tf.TensorSpec([None, None, 3]), tf.TensorSpec([None, None], tf.uint8)])
    def prepare(image: tf.Tensor, mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        framed = letterbox_image(image, 20, 24, GREY)
        size = tf.shape(image)
        return framed, letterbox_mask(mask, 20, 24, VOID), restore_logits(framed, size[0], size[1])

    for height, width in ((3, 5), (50, 20), (20, 24), (1, 1)):
        image, mask, restored = prepare(tf.zeros([height, width, 3]), tf.zeros([height, width], tf.uint8))
        assert image.shape == (20, 24, 3) and mask.shape == (20, 24) and restored.shape == (height, width, 3)
