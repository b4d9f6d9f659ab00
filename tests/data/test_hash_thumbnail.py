"""The perceptual hash, held against scipy's transform and against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.fft import dctn, idctn

from data.hash_thumbnail import HASH_BITS, SIDE_PX, hash_thumbnail

# Without the constant one, by the square of the frequency, then by row.
PLACES = sorted(
    ((row, column) for row in range(SIDE_PX) for column in range(SIDE_PX) if row + column > 0),
    key=lambda place: (place[0] ** 2 + place[1] ** 2, *place),
)[:HASH_BITS]


def bits_of(digest: str) -> np.ndarray:
    return np.unpackbits(np.frombuffer(bytes.fromhex(digest), np.uint8)).astype(bool)


def test_a_point_of_light_by_hand() -> None:
    grey = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    grey[0, 0] = 255
    # cos((2 * 0 + 1) * k * pi / 64) is positive for every k below 32.
    assert hash_thumbnail(grey) == "f" * 64
    grey[0, 0], grey[0, 31] = 0, 255
    # cos(63 * k * pi / 64) has the sign of (-1) ** k. Columns of the first coefficients: 1 0 1 2 0 2 1 2.
    assert hash_thumbnail(grey)[:2] == f"{0b01011101:02x}"


@pytest.mark.parametrize("seed", range(4))
def test_bits_are_the_signs_of_scipys_coefficients(seed: int) -> None:
    grey = np.random.default_rng(seed).integers(0, 256, (SIDE_PX, SIDE_PX)).astype(np.uint8)
    coefficients = dctn(grey.astype(float), norm="ortho")
    values = np.array([coefficients[place] for place in PLACES])
    clear = np.abs(values) > 0.1
    assert clear.sum() > 250
    assert np.array_equal(bits_of(hash_thumbnail(grey))[clear], values[clear] > 0)


def test_signs_that_are_chosen_come_out_again() -> None:
    chosen = np.random.default_rng(7).random(HASH_BITS) < 0.5
    coefficients = np.zeros((SIDE_PX, SIDE_PX))
    for place, positive in zip(PLACES, chosen, strict=True):
        coefficients[place] = 30 if positive else -30
    grey = np.rint(128 + idctn(coefficients, norm="ortho"))
    assert grey.min() > 0 and grey.max() < 255
    assert np.array_equal(bits_of(hash_thumbnail(grey.astype(np.uint8))), chosen)


def test_brightness_and_contrast_change_nothing() -> None:
    grey = np.random.default_rng(1).integers(0, 64, (SIDE_PX, SIDE_PX)).astype(np.uint8)
    digest = hash_thumbnail(grey)
    assert hash_thumbnail(grey + np.uint8(100)) == digest == hash_thumbnail(grey * np.uint8(3))
    assert (bits_of(hash_thumbnail(255 - grey)) == bits_of(digest)).sum() == 0


def test_a_mirror_image_of_itself_has_the_bits_of_what_does_not_cancel_out() -> None:
    half = np.random.default_rng(2).integers(0, 256, (SIDE_PX, SIDE_PX // 2)).astype(np.uint8)
    digest = bits_of(hash_thumbnail(np.hstack([half, half[:, ::-1]])))
    # Odd frequencies along the rows are exactly 0, which is not positive.
    assert not any(digest[index] for index, (_, column) in enumerate(PLACES) if column % 2)
    assert any(digest)


def test_too_little_to_see_has_no_hash() -> None:
    ramp = np.tile(np.linspace(50, 200, SIDE_PX).astype(np.uint8), (SIDE_PX, 1))
    noise = np.random.default_rng(0).integers(0, 2, (SIDE_PX, SIDE_PX)).astype(np.uint8)
    for grey in (np.zeros_like(ramp), np.full_like(ramp, 255), ramp, noise):
        assert hash_thumbnail(grey) == ""
    ramp[8:12, 20:23] = 255
    assert len(hash_thumbnail(ramp)) == HASH_BITS // 4
