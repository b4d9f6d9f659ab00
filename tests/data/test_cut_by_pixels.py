from __future__ import annotations

from data.cut_by_pixels import cut_by_pixels


def _cut(pixels: list[int], max_images: int, max_pixels: int) -> list[list[int]]:
    return [pixels[piece] for piece in cut_by_pixels(pixels, max_images, max_pixels)]


def test_batches_are_as_large_as_both_bounds_allow():
    assert _cut([1] * 5, 2, 100) == [[1, 1], [1, 1], [1]]
    assert _cut([4, 6, 1, 9, 10, 3], 8, 10) == [[4, 6], [1, 9], [10], [3]]


def test_an_image_that_is_too_large_comes_alone():
    assert _cut([2, 50, 2, 2], 8, 10) == [[2], [50], [2, 2]]
    assert _cut([50], 8, 10) == [[50]]
    assert _cut([], 8, 10) == []
