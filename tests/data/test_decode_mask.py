from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from data.config import ClassConfig, DataConfig
from data.decode_mask import build_mask_codec, encode_id_mask
from data.open_image import UnreadableImageError

Make = Callable[..., DataConfig]
Encode = Callable[..., bytes]

IDS = np.array([[0, 1, 2], [2, 255, 1]], np.uint8)


def test_an_id_png_is_canonical(make_config: Make, encode: Encode) -> None:
    mask = build_mask_codec(make_config(num_classes=3)).decode(encode(IDS))
    assert mask.is_canonical and mask.class_ids.tolist() == IDS.tolist() and not mask.unknown
    assert mask.class_ids.dtype == np.uint8


def test_camvid_void_becomes_the_ignore_id(make_config: Make, encode: Encode) -> None:
    values = np.array([[0, 10, 11]], np.uint8)
    mask = build_mask_codec(make_config(num_classes=11, void_values=[11])).decode(encode(values))
    assert mask.class_ids.tolist() == [[0, 10, 255]] and not mask.is_canonical
    kept = build_mask_codec(make_config(num_classes=11, void_values=[11], ignore_id=11))
    assert kept.decode(encode(values)).is_canonical


def test_unknown_values_are_counted_and_void(make_config: Make, encode: Encode) -> None:
    values = np.array([[0, 7, 7], [1, 255, 9]], np.uint8)
    mask = build_mask_codec(make_config(num_classes=2)).decode(encode(values))
    assert mask.unknown == {7: 2, 9: 1} and mask.unknown_pixels == 3
    assert mask.class_ids.tolist() == [[0, 255, 255], [1, 255, 255]] and not mask.is_canonical


def test_the_ignore_id_itself_is_unknown_unless_it_is_void(make_config: Make, encode: Encode) -> None:
    mask = build_mask_codec(make_config(void_values=[])).decode(encode(np.array([[0, 255]], np.uint8)))
    assert mask.unknown == {255: 1}


def test_sixteen_bits(make_config: Make, encode: Encode) -> None:
    rows = [{"id": 0, "name": "a", "mask_values": [7000]}, {"id": 1, "name": "b", "mask_values": [1, 65535]}]
    codec = build_mask_codec(make_config(classes=rows, void_values=[300]))
    mask = codec.decode(encode(np.array([[7000, 1, 65535], [300, 301, 7000]], np.uint16)))
    assert mask.class_ids.tolist() == [[0, 1, 1], [255, 255, 0]] and mask.unknown == {301: 1}
    assert not mask.is_canonical


def test_sixteen_bit_ids_are_not_canonical(make_config: Make, encode: Encode) -> None:
    mask = build_mask_codec(make_config(num_classes=3)).decode(encode(IDS.astype(np.uint16)))
    assert mask.class_ids.tolist() == IDS.tolist() and not mask.is_canonical


def test_a_palettes_index_is_the_value_whatever_its_colour(make_config: Make) -> None:
    image = Image.fromarray(IDS, "L").convert("P")
    image.putdata(IDS.ravel().tolist())
    image.putpalette([200, 0, 0, 200, 0, 0, 0, 0, 9] + [0] * 759)
    stream = io.BytesIO()
    image.save(stream, "PNG")
    mask = build_mask_codec(make_config(num_classes=3, mask_encoding="palette")).decode(stream.getvalue())
    assert mask.class_ids.tolist() == IDS.tolist() and not mask.is_canonical


@pytest.mark.parametrize(
    ("bit_depth", "row"),
    [(1, bytes([0b01100000])), (2, bytes([0b00010100])), (4, bytes([0x01, 0x10]))],
)
def test_fewer_bits_than_eight_hold_ids_too(
    make_config: Make, raw_png: Callable[..., bytes], bit_depth: int, row: bytes
) -> None:
    content = raw_png([row], width=4, bit_depth=bit_depth, colour_type=0)
    mask = build_mask_codec(make_config()).decode(content)
    assert mask.class_ids.tolist() == [[0, 1, 1, 0]] and not mask.is_canonical


def test_four_bit_palette(make_config: Make, raw_png: Callable[..., bytes]) -> None:
    content = raw_png([bytes([0x3A])], 2, 4, colour_type=3, palette=bytes(range(48)))
    mask = build_mask_codec(make_config(num_classes=11, mask_encoding="palette")).decode(content)
    assert mask.class_ids.tolist() == [[3, 10]]


def test_rgb_by_class_colours(make_config: Make, encode: Encode) -> None:
    rows = [
        {"id": 0, "name": "a", "colour": [128, 0, 0]},
        {"id": 1, "name": "b", "colour": [0, 128, 0]},
        {"id": 2, "name": "c", "colour": [255, 255, 255]},
    ]
    config = make_config(classes=rows, mask_encoding="rgb", void_colours=[[0, 0, 0]])
    pixels = np.array(
        [[[128, 0, 0], [0, 0, 0], [255, 255, 255]], [[0, 128, 0], [0, 127, 0], [1, 2, 3]]], np.uint8
    )
    mask = build_mask_codec(config).decode(encode(pixels))
    assert mask.class_ids.tolist() == [[0, 255, 2], [1, 255, 255]]
    assert mask.unknown == {(0, 127, 0): 1, (1, 2, 3): 1} and not mask.is_canonical


@pytest.mark.parametrize("mode", ["RGBA", "P"])
def test_colours_of_other_pixel_modes(make_config: Make, encode: Encode, mode: str) -> None:
    rows = [{"id": 0, "name": "a", "colour": [0, 0, 255]}, {"id": 1, "name": "b", "colour": [255, 0, 0]}]
    pixels = np.array([[[0, 0, 255], [255, 0, 0]]], np.uint8)
    codec = build_mask_codec(make_config(classes=rows, mask_encoding="rgb"))
    assert codec.decode(encode(pixels, mode=mode)).class_ids.tolist() == [[0, 1]]


@pytest.mark.parametrize("foreground", [1, 255])
def test_binary(make_config: Make, encode: Encode, foreground: int) -> None:
    values = np.array([[0, foreground], [foreground, 0]], np.uint8)
    mask = build_mask_codec(make_config(mask_encoding="binary")).decode(encode(values))
    assert mask.class_ids.tolist() == [[0, 1], [1, 0]] and mask.is_canonical == (foreground == 1)


def test_binary_one_bit_and_grey_in_between(make_config: Make, encode: Encode) -> None:
    codec = build_mask_codec(make_config(mask_encoding="binary", void_values=[128]))
    assert codec.decode(encode(np.array([[False, True]]))).class_ids.tolist() == [[0, 1]]
    mask = codec.decode(encode(np.array([[0, 128, 200, 255]], np.uint8)))
    assert mask.class_ids.tolist() == [[0, 255, 255, 1]] and mask.unknown == {200: 1}


def test_grey_saved_as_rgb_is_taken_for_ids_and_colour_is_refused(make_config: Make, encode: Encode) -> None:
    codec = build_mask_codec(make_config(num_classes=3))
    assert codec.decode(encode(np.stack([IDS] * 3, axis=-1))).class_ids.tolist() == IDS.tolist()
    with pytest.raises(UnreadableImageError, match="colour picture") as caught:
        codec.decode(encode(np.array([[[1, 1, 2]]], np.uint8)))
    assert "mask_encoding to rgb" in caught.value.remedy


def test_jpeg_masks_are_refused(make_config: Make, encode: Encode) -> None:
    with pytest.raises(UnreadableImageError, match="JPEG") as caught:
        build_mask_codec(make_config()).decode(encode(IDS, "JPEG"))
    assert caught.value.code == "unsupported_format" and caught.value.remedy == "Convert it to PNG"


@pytest.mark.parametrize("format", ["BMP", "GIF", "TIFF"])
def test_other_lossless_formats(make_config: Make, encode: Encode, format: str) -> None:
    values = np.array([[0, 1], [1, 0]], np.uint8)
    mask = build_mask_codec(make_config()).decode(encode(values, format))
    assert mask.class_ids.tolist() == values.tolist() and not mask.is_canonical


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_id_masks_survive_the_round_trip(ids: np.ndarray) -> None:
    classes = tuple(ClassConfig(id=index, name=f"c{index}") for index in range(255))
    mask = build_mask_codec(DataConfig(root="x", classes=classes)).decode(encode_id_mask(ids))
    assert mask.is_canonical and np.array_equal(mask.class_ids, ids)


@given(
    st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=4, max_size=30, unique=True),
    st.data(),
)
def test_colours_decode_as_a_dictionary_would(colours: list[tuple[int, int, int]], data: Any) -> None:
    *known, void, _unknown = colours
    rows = tuple(ClassConfig(id=i, name=f"c{i}", colour=colour) for i, colour in enumerate(known))
    config = DataConfig(root="x", classes=rows, mask_encoding="rgb", void_colours=(void,))
    drawn = data.draw(st.lists(st.sampled_from(colours), min_size=1, max_size=40))
    stream = io.BytesIO()
    Image.fromarray(np.array([drawn], np.uint8)).save(stream, "PNG")
    mask = build_mask_codec(config).decode(stream.getvalue())
    meaning = {colour: i for i, colour in enumerate(known)}
    assert mask.class_ids.tolist() == [[meaning.get(colour, 255) for colour in drawn]]
    strangers = [colour for colour in drawn if colour not in meaning and colour != void]
    assert mask.unknown == {colour: strangers.count(colour) for colour in set(strangers)}
