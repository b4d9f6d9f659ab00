"""The pictures of the page, decoded and looked at pixel by pixel."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from components.report.draw_pictures import (
    ERROR_COLOUR,
    MAX_SIDE_PX,
    VOID_COLOURS,
    decode_ids,
    draw_error,
    draw_image,
    draw_mask,
    open_image,
)
from components.report.facts import Picture
from data.classes import ClassTable, SegmentationClass

CLASSES = ClassTable(
    (SegmentationClass(0, "ground", (0, 0, 0)), SegmentationClass(1, "road", (128, 64, 128))), 255
)
Encode = Callable[..., bytes]


def pixels_of(picture: Picture) -> np.ndarray:
    kind, encoded = picture.data_uri.removeprefix("data:image/").split(";base64,")
    image = Image.open(io.BytesIO(base64.b64decode(encoded)))
    assert image.format is not None
    assert image.format.lower() == kind
    assert image.size == (picture.width_px, picture.height_px)
    return np.asarray(image.convert("RGB"))


def test_a_small_image_is_shown_as_it_is(encode_png: Encode) -> None:
    image = np.arange(6 * 4 * 3, dtype=np.uint8).reshape(4, 6, 3)
    picture = draw_image(encode_png(image), "a/b")

    np.testing.assert_array_equal(pixels_of(picture), image)
    assert picture.text == "Image a/b, 6 by 4 pixels"


def test_a_large_image_is_scaled_down_and_keeps_its_shape(encode_png: Encode) -> None:
    picture = draw_image(encode_png(np.full((900, 1200, 3), 77, np.uint8)), "a")

    assert pixels_of(picture).shape == (360, MAX_SIDE_PX, 3)
    assert abs(pixels_of(picture).astype(int) - 77).max() <= 2


def test_16_bit_grey_goes_to_8_bit(encode_png: Encode) -> None:
    values = np.array([[0, 257, 65535]], np.uint16)

    np.testing.assert_array_equal(np.asarray(open_image(encode_png(values)))[..., 0], [[0, 1, 255]])


def test_exif_orientation_is_obeyed() -> None:
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(np.zeros((10, 30, 3), np.uint8)).save(stream, "JPEG", exif=exif)

    assert open_image(stream.getvalue()).size == (10, 30)


def test_a_mask_has_its_classes_colours_and_hatched_void() -> None:
    ids = np.array([[0] * 8, [1] * 8, [255] * 8], np.uint8)
    picture = draw_mask(ids, CLASSES, "Truth")
    drawn = pixels_of(picture)

    assert {tuple(pixel) for pixel in drawn[0]} == {(0, 0, 0)}
    assert {tuple(pixel) for pixel in drawn[1]} == {(128, 64, 128)}
    assert {tuple(pixel) for pixel in drawn[2]} == set(VOID_COLOURS)
    assert picture.text == "Truth: ground 50\N{NARROW NO-BREAK SPACE}%, road 50\N{NARROW NO-BREAK SPACE}%"
    assert draw_mask(np.full((2, 2), 255, np.uint8), CLASSES, "Truth").text == "Truth: all void"


def test_255_classes_leave_one_colour_for_void() -> None:
    rows = tuple(SegmentationClass(index, f"c{index}", (index, 1, 2)) for index in range(255))
    ids = np.array([[0, 253, 254, 255, 255, 255, 255]], np.uint8)
    drawn = pixels_of(draw_mask(ids, ClassTable(rows, 255), "Truth"))

    assert [tuple(pixel) for pixel in drawn[0, :3]] == [(0, 1, 2), (253, 1, 2), (254, 1, 2)]
    assert {tuple(pixel) for pixel in drawn[0, 3:]} <= set(VOID_COLOURS)


def test_masks_are_scaled_without_mixing_ids() -> None:
    ids = np.zeros((1000, 1000), np.uint8)
    ids[:, 500:] = 1

    assert {tuple(pixel) for pixel in pixels_of(draw_mask(ids, CLASSES, "Truth")).reshape(-1, 3)} == {
        (0, 0, 0),
        (128, 64, 128),
    }


def test_errors_are_where_the_prediction_is_wrong_and_nowhere_else() -> None:
    truth = np.array([[0, 0, 1, 1, 255, 255, 255, 255]], np.uint8)
    prediction = np.array([[0, 1, 1, 0, 1, 0, 1, 0]], np.uint8)
    image = Image.fromarray(np.full((1, 8, 3), 200, np.uint8))
    picture = draw_error(image, truth, prediction, 255)
    drawn = [tuple(pixel) for pixel in pixels_of(picture)[0]]

    assert [pixel == ERROR_COLOUR for pixel in drawn] == [False, True, False, True] + [False] * 4
    assert set(drawn[4:]) <= set(VOID_COLOURS)
    assert drawn[0] == drawn[2]
    assert len(set(drawn[0])) == 1
    assert picture.text == "Wrong: 50.0\N{NARROW NO-BREAK SPACE}% of the labelled pixels"


def test_a_mask_of_another_size_is_refused() -> None:
    image = Image.fromarray(np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ValueError, match="broadcast"):
        draw_error(image, np.zeros((4, 4), np.uint8), np.zeros((3, 4), np.uint8), 255)


def test_ids_are_read_from_a_grey_png(encode_png: Encode) -> None:
    ids = np.array([[0, 7, 255]], np.uint8)

    np.testing.assert_array_equal(decode_ids(encode_png(ids)), ids)
