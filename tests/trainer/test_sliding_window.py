"""Windows against a numpy that adds up every window of the whole image at once."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from trainer.sliding_window import place_windows, slide_windows, weigh_window


@pytest.mark.parametrize(
    ("length", "window", "overlap", "starts"),
    [
        (10, 4, 0.5, [0, 2, 4, 6]),
        (11, 4, 0.5, [0, 2, 4, 5, 7]),  # 7 free pixels in 4 steps: 1.75, 3.5, 5.25
        (100, 30, 0.0, [0, 23, 47, 70]),
        (100, 10, 0.9, list(range(91))),
        (5, 4, 0.5, [0, 1]),
        (4, 4, 0.5, [0]),
        (3, 1, 0.9, [0, 1, 2]),
    ],
)
def test_windows_are_spread_evenly(length: int, window: int, overlap: float, starts: list[int]) -> None:
    found = place_windows(tf.constant(length), tf.constant(window), tf.constant(overlap))
    assert found.numpy().tolist() == starts


def test_windows_cover_every_side_and_overlap_enough() -> None:
    for length in (1, 31, 64, 97, 1000):
        for window in (1, 13, 30, 64):
            for overlap in (0.0, 0.25, 0.5, 0.75):
                size = min(length, window)
                found = place_windows(tf.constant(length), tf.constant(size), tf.constant(overlap)).numpy()
                assert found[0] == 0 and found[-1] == length - size
                step = max(1, int(size * (1 - overlap) + 0.001))
                assert all(0 < gap <= step for gap in np.diff(found))


def test_gaussian_weights_fall_from_the_middle_to_four_deviations() -> None:
    weights = weigh_window(tf.constant(33), tf.constant(True)).numpy()
    assert weights[16] == 1 and np.array_equal(weights, weights[::-1])
    # 33 / 8 is the deviation; the last pixel lies 16 from the middle.
    assert weights[0] == pytest.approx(np.exp(-0.5 * (16 * 8 / 33) ** 2), rel=1e-5)
    assert weigh_window(tf.constant(33), tf.constant(False)).numpy().tolist() == [1] * 33


def score(window: NDArray[np.float32]) -> NDArray[np.float32]:
    """Depends on the place in the window and on all of the window."""
    rows = np.linspace(0, 1, len(window), dtype=np.float32)[:, None]
    return np.stack([window[..., 0] + rows, window[..., 1] * window.mean()], axis=-1)


@pytest.mark.parametrize("is_gaussian", [True, False])
@pytest.mark.parametrize(
    ("size", "window", "overlap"),
    [
        ((20, 31), (8, 8), 0.5),
        ((21, 17), (10, 7), 0.75),
        ((9, 40), (32, 16), 0.0),
        ((5, 5), (32, 32), 0.5),
        ((16, 16), (8, 8), 0.0),
    ],
)
def test_bands_are_the_weighted_mean_of_all_windows(
    size: tuple[int, int], window: tuple[int, int], overlap: float, is_gaussian: bool
) -> None:
    image = np.random.default_rng(0).uniform(0, 1, (*size, 3)).astype(np.float32)
    height, width = min(size[0], window[0]), min(size[1], window[1])
    weights = np.ones((height, width))
    if is_gaussian:
        sides = [np.arange(side) - (side - 1) / 2 for side in (height, width)]
        rows, columns = (np.exp(-0.5 * (side / (len(side) / 8)) ** 2) for side in sides)
        weights = np.outer(rows, columns)
    sums, total = np.zeros((*size, 2)), np.zeros(size)
    for row in place_windows(size[0], height, tf.constant(overlap)).numpy():
        for column in place_windows(size[1], width, tf.constant(overlap)).numpy():
            at = np.s_[row : row + height, column : column + width]
            sums[at] += score(image[at]) * weights[..., None]
            total[at] += weights
    bands: list[int] = []

    def finish(band: tf.Tensor) -> list[tf.Tensor]:
        bands.append(band.shape[0])
        return [band, tf.reduce_sum(band, axis=-1)]

    averaged, summed = slide_windows(
        lambda piece: tf.constant(score(piece.numpy())),
        tf.constant(image),
        tf.constant(window),
        tf.constant(overlap),
        tf.constant(is_gaussian),
        2,
        finish,
    )
    np.testing.assert_allclose(averaged, sums / total[..., None], rtol=1e-4)
    np.testing.assert_allclose(summed, (sums / total[..., None]).sum(axis=-1), rtol=1e-4)
    # Never more than a row of windows, and each row of pixels once.
    assert max(bands) <= height and sum(bands[1:]) == size[0]
