from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from data.augment import augment_batch, change_colours, draw_transforms, find_labelled_size, warp_batch
from data.config import AugmentConfig

VOID = 255
FILL = tf.constant([255.0, 255.0, 255.0])
STILL: dict[str, Any] = {
    "scale_min": 1,
    "scale_max": 1,
    "rotation_degrees": 0,
    "flip_horizontal": False,
    "flip_vertical": False,
    "brightness": 0,
    "contrast": 0,
    "saturation": 0,
}


def make_config(**changes: Any) -> AugmentConfig:
    return AugmentConfig(**{**STILL, **changes})


def make_masks(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 250, size=(count, height, width)).astype(np.uint8)


def as_images(masks: np.ndarray) -> np.ndarray:
    return np.repeat(masks[..., None], 3, axis=-1).astype(np.float32)


def warp(
    masks: np.ndarray, rows: list[list[float]], height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    transforms = tf.constant([[*row, 0, 0] for row in rows], tf.float32)
    images, warped = warp_batch(
        tf.constant(as_images(masks)), tf.constant(masks), transforms, height, width, VOID, FILL
    )
    return images.numpy(), warped.numpy()


EXACT = {
    "identity": ([1, 0, 0, 0, 1, 0], lambda m: m),
    "flip_horizontal": ([-1, 0, 7, 0, 1, 0], lambda m: m[:, ::-1]),
    "flip_vertical": ([1, 0, 0, 0, -1, 7], lambda m: m[::-1]),
    "quarter_turn": ([0, 1, 0, -1, 0, 7], lambda m: np.rot90(m, -1)),
    "half_turn": ([-1, 0, 7, 0, -1, 7], lambda m: np.rot90(m, 2)),
    "three_quarter_turn": ([0, -1, 7, 1, 0, 0], lambda m: np.rot90(m, 1)),
    "transpose": ([0, 1, 0, 1, 0, 0], lambda m: m.T),
    "shift": ([1, 0, 3, 0, 1, -2], lambda m: np.pad(m, ((2, 0), (0, 3)), constant_values=VOID)[:8, 3:]),
}


@pytest.mark.parametrize("name", EXACT)
def test_whole_pixel_transforms_copy_image_and_mask_bit_for_bit(name: str) -> None:
    row, change = EXACT[name]
    masks = make_masks(3, 8, 8)
    images, warped = warp(masks, [row] * 3, 8, 8)
    np.testing.assert_array_equal(warped, np.stack([change(mask) for mask in masks]))
    np.testing.assert_array_equal(images, as_images(warped))


def random_rows(count: int, seed: int) -> list[list[float]]:
    """Turns and scalings that read pixel (16, 12) somewhere near (18, 15)."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        angle, scale = rng.uniform(-math.pi, math.pi), rng.uniform(0.4, 2.5)
        cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
        x, y = rng.uniform(12, 24), rng.uniform(10, 20)
        rows.append([cos, -sin, x - cos * 16 + sin * 12, sin, cos, y - sin * 16 - cos * 12])
    return rows


def read_points(row: list[float], height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the columns and rows that a transform reads, each [height, width]."""
    y, x = np.mgrid[:height, :width]
    return row[0] * x + row[1] * y + row[2], row[3] * x + row[4] * y + row[5]


def test_any_transform_samples_as_scipy_does() -> None:
    masks = make_masks(12, 30, 37, seed=1)
    rows = random_rows(12, seed=2)
    images, warped = warp(masks, rows, 25, 33)
    for mask, row, image, got in zip(masks, rows, images, warped, strict=True):
        # scipy counts rows first; it fills as if the plane went on, so only the inside is compared.
        matrix, offset = np.array([[row[4], row[3]], [row[1], row[0]]]), (row[5], row[2])
        options: dict[str, Any] = {"output_shape": (25, 33), "mode": "constant", "cval": VOID}
        nearest = ndimage.affine_transform(mask.astype(np.float64), matrix, offset, order=0, **options)
        linear = ndimage.affine_transform(mask.astype(np.float64), matrix, offset, order=1, **options)
        columns, lines = read_points(row, 25, 33)
        inside = (columns >= 0) & (columns <= 36) & (lines >= 0) & (lines <= 29)
        fractions = np.stack([columns % 1, lines % 1])
        unambiguous = (np.abs(fractions - 0.5) > 1e-4).all(axis=0)
        assert inside.sum() > 50
        np.testing.assert_array_equal(got[inside & unambiguous], nearest[inside & unambiguous])
        np.testing.assert_allclose(image[..., 0][inside], linear[inside], atol=0.02)
        outside = (columns < -1) | (columns > 37) | (lines < -1) | (lines > 30)
        assert (got[outside] == VOID).all() and (image[outside] == 255).all()


def test_image_and_mask_read_the_points_that_the_transform_names() -> None:
    # A ramp shows where it was read: the image exactly, the mask to the nearest pixel.
    ramp = np.broadcast_to(np.arange(0, 120, 3, dtype=np.uint8), (6, 40, 40)).copy()
    rows = random_rows(6, seed=3)
    for axis, masks in enumerate((ramp, ramp.transpose(0, 2, 1).copy())):
        images, warped = warp(masks, rows, 30, 30)
        for row, image, mask in zip(rows, images, warped, strict=True):
            points = read_points(row, 30, 30)
            inside = np.all([(line >= 0) & (line <= 39) for line in points], axis=0)
            assert inside.sum() > 50
            np.testing.assert_allclose(image[..., 0][inside], 3 * points[axis][inside], atol=0.01)
            assert np.abs(mask[inside] - 3 * points[axis][inside]).max() <= 1.5 + 1e-3


def test_the_fill_has_a_colour_for_each_channel_and_changes_no_bit() -> None:
    images = np.random.default_rng(0).integers(0, 256, size=(1, 6, 6, 3)).astype(np.float32)
    moved, masks = warp_batch(
        tf.constant(images),
        tf.zeros([1, 6, 6], tf.uint8),
        tf.constant([[1.0, 0, 2, 0, 1, 0, 0, 0]]),
        6,
        6,
        11,
        tf.constant([10.3, 99.6, 200.0]),
    )
    np.testing.assert_array_equal(moved[0, :, :4], images[0, :, 2:])
    np.testing.assert_array_equal(moved[0, :, 4:], np.broadcast_to([10, 100, 200], (6, 2, 3)))
    np.testing.assert_array_equal(masks[0], [[0, 0, 0, 0, 11, 11]] * 6)


def run_augment(masks: np.ndarray, config: AugmentConfig, seed: tuple[int, int] = (1, 2)) -> tuple[Any, Any]:
    images, warped = augment_batch(
        tf.constant(as_images(masks)), tf.constant(masks), config, tf.constant(seed), VOID, FILL
    )
    return images.numpy(), warped.numpy()


def test_flips_alone_give_mirrored_copies_and_all_of_them() -> None:
    masks = make_masks(64, 9, 12)
    images, warped = run_augment(masks, make_config(flip_horizontal=True, flip_vertical=True))
    np.testing.assert_array_equal(images, as_images(warped))
    seen = set()
    for mask, got in zip(masks, warped, strict=True):
        variants = [mask, mask[:, ::-1], mask[::-1], mask[::-1, ::-1]]
        (which,) = (i for i, variant in enumerate(variants) if np.array_equal(variant, got))
        seen.add(which)
    assert seen == {0, 1, 2, 3}


def test_crops_are_copies_of_windows_from_all_over_the_image() -> None:
    masks = make_masks(200, 12, 20)
    config = make_config(crop_height_px=8, crop_width_px=8, flip_horizontal=True)
    images, warped = run_augment(masks, config)
    assert images.shape == (200, 8, 8, 3) and warped.shape == (200, 8, 8)
    np.testing.assert_array_equal(images, as_images(warped))
    places = set()
    for mask, got in zip(masks, warped, strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(mask, (8, 8))
        found = [tuple(p) for w in (got, got[:, ::-1]) for p in np.argwhere((windows == w).all(axis=(2, 3)))]
        assert len(found) == 1
        places.add(found[0])
    assert {place[0] for place in places} == set(range(5))
    assert {place[1] for place in places} == set(range(13))


def test_a_crop_larger_than_the_image_holds_all_of_it_in_void() -> None:
    masks = make_masks(50, 8, 10)
    images, warped = run_augment(masks, make_config(crop_height_px=14, crop_width_px=10))
    tops = set()
    for mask, image, got in zip(masks, images, warped, strict=True):
        top = int(np.flatnonzero((got != VOID).any(axis=1))[0])
        np.testing.assert_array_equal(got, np.pad(mask, ((top, 6 - top), (0, 0)), constant_values=VOID))
        assert (image[got == VOID] == 255).all()
        tops.add(top)
    assert tops == set(range(7))


def test_windows_keep_to_what_a_letterboxed_example_shows() -> None:
    masks = np.full((40, 32, 32), VOID, np.uint8)
    masks[:, :12, :] = make_masks(40, 12, 32)
    sizes = find_labelled_size(tf.constant(masks), VOID).numpy()
    np.testing.assert_array_equal(sizes, [[12, 32]] * 40)
    _, warped = run_augment(masks, make_config(crop_height_px=8, crop_width_px=8))
    assert (warped != VOID).all()
    nothing = tf.fill([2, 6, 9], tf.constant(VOID, tf.uint8))
    np.testing.assert_array_equal(find_labelled_size(nothing, VOID), [[6, 9]] * 2)
    holes = np.zeros((1, 6, 9), np.uint8)
    holes[0, 2] = holes[0, :, 5:] = VOID
    np.testing.assert_array_equal(find_labelled_size(tf.constant(holes), VOID), [[6, 5]])


def test_shifts_are_copies_moved_as_far_as_they_may_and_no_further() -> None:
    masks = make_masks(200, 8, 12)
    config = make_config(shift=0.25)
    images, shifted = augment_batch(
        tf.constant(as_images(masks)), tf.constant(masks), config, tf.constant([1, 2]), VOID, FILL
    )
    seen = set()
    padded = np.pad(masks, ((0, 0), (2, 2), (3, 3)), constant_values=VOID)
    for image, mask, source in zip(images.numpy(), shifted.numpy(), padded, strict=True):
        np.testing.assert_array_equal(image[..., 0], mask)
        places = [
            (down, across)
            for down in range(5)
            for across in range(7)
            if np.array_equal(source[down : down + 8, across : across + 12], mask)
        ]
        assert len(places) == 1
        seen |= set(places)
    assert len(seen) == 5 * 7


def test_transforms_scale_about_the_windows_middle_within_their_ranges() -> None:
    config = make_config(scale_min=0.5, scale_max=2, rotation_degrees=30)
    rng = np.random.default_rng(0)
    draws = rng.uniform(-1, 1, size=(500, 6)).astype(np.float32)
    draws[:3, 0] = [-1, 0, 1]
    content = np.full((500, 2), 64, np.float32)
    rows = draw_transforms(tf.constant(draws), tf.constant(content), 64, 64, config).numpy()
    scales = 1 / np.hypot(rows[:, 0], rows[:, 3])
    np.testing.assert_allclose(scales[:3], [0.5, 1, 2], rtol=1e-5)
    np.testing.assert_allclose(1 / np.hypot(rows[:, 1], rows[:, 4]), scales, rtol=1e-5)
    angles = np.degrees(np.arctan2(rows[:, 3], rows[:, 0]))
    np.testing.assert_allclose(angles, draws[:, 1] * 30, atol=1e-3)
    np.testing.assert_array_equal(rows[:, 6:], 0)
    # The window's middle, 31.5, is read where the window's centre was put.
    centre_x = rows[:, 0] * 31.5 + rows[:, 1] * 31.5 + rows[:, 2] + 0.5
    np.testing.assert_allclose(centre_x, 32 + draws[:, 3] * np.abs(64 - 64 / scales) / 2, atol=0.51)
    centre_y = rows[:, 3] * 31.5 + rows[:, 4] * 31.5 + rows[:, 5] + 0.5
    np.testing.assert_allclose(centre_y, 32 + draws[:, 2] * np.abs(64 - 64 / scales) / 2, atol=0.51)


def test_the_same_seed_gives_the_same_batch_and_others_do_not() -> None:
    masks = make_masks(4, 24, 24)
    config = AugmentConfig()
    images, warped = run_augment(masks, config)
    again = run_augment(masks, config)
    np.testing.assert_array_equal(images, again[0])
    np.testing.assert_array_equal(warped, again[1])
    for seed in ((1, 3), (2, 2)):
        assert not np.array_equal(warped, run_augment(masks, config, seed)[1])
    assert len({warped[i].tobytes() for i in range(4)}) == 4


def test_colours_change_as_computed_by_hand_and_masks_do_not() -> None:
    images = np.random.default_rng(0).uniform(60, 180, size=(5, 7, 6, 3)).astype(np.float32)
    config = make_config(brightness=0.2, contrast=0.5, saturation=0.4)
    draws = np.random.default_rng(1).uniform(-1, 1, size=(5, 3)).astype(np.float32)
    got = change_colours(tf.constant(images), config, tf.constant(draws)).numpy()
    for image, draw, changed in zip(images.astype(np.float64), draws, got, strict=True):
        grey = (image @ [0.299, 0.587, 0.114])[..., None]
        saturated = grey + (1 + 0.4 * draw[2]) * (image - grey)
        wanted = grey.mean() + (1 + 0.5 * draw[1]) * (saturated - grey.mean()) + draw[0] * 0.2 * 255
        np.testing.assert_allclose(changed, np.clip(wanted, 0, 255), atol=1e-3)
    masks = make_masks(5, 7, 6)
    coloured, same = run_augment(masks, config)
    np.testing.assert_array_equal(same, masks)
    assert not np.array_equal(coloured, as_images(masks))
    assert coloured.min() >= 0 and coloured.max() <= 255


def test_nothing_to_do_changes_nothing() -> None:
    masks = make_masks(3, 9, 7)
    images, same = run_augment(masks, make_config())
    np.testing.assert_array_equal(same, masks)
    np.testing.assert_array_equal(images, as_images(masks))
