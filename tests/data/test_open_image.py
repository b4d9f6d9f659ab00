from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest

from data import open_image as module
from data.open_image import UnreadableImageError, open_image, sniff_format

Encode = Callable[..., bytes]
PIXELS = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)


def refusal_of(content: bytes) -> UnreadableImageError:
    with pytest.raises(UnreadableImageError) as caught:
        open_image(content)
    return caught.value


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_a_whole_image_opens(encode: Encode, format: str) -> None:
    assert open_image(encode(PIXELS, format)).size == (40, 30)


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
@pytest.mark.parametrize("missing_bytes", [1, 4, 8, 12, 13, 40, 300])
def test_a_cut_off_file_is_refused(encode: Encode, format: str, missing_bytes: int) -> None:
    error = refusal_of(encode(PIXELS, format)[:-missing_bytes])
    assert error.code == "truncated_image" and "Restore the whole file" in error.remedy


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_every_short_beginning_is_refused(encode: Encode, format: str) -> None:
    content = encode(PIXELS, format)
    for length in [*range(1, 64), *range(64, len(content) - 1, 97)]:
        refusal_of(content[:length])


@pytest.mark.parametrize("position", [-5, -13, 50, 200])
def test_a_changed_byte_of_a_png_is_refused(encode: Encode, position: int) -> None:
    content = bytearray(encode(PIXELS))
    content[position] ^= 0x10
    assert refusal_of(bytes(content)).code == "truncated_image"


def test_bytes_behind_the_end_do_not_matter(encode: Encode) -> None:
    assert open_image(encode(PIXELS) + b"junk").size == (40, 30)
    assert open_image(encode(PIXELS, "JPEG") + b"junk").size == (40, 30)


def test_empty_and_text_and_pointers() -> None:
    assert refusal_of(b"").code == "empty_file"
    text = refusal_of(b"no image at all\n")
    assert text.code == "not_an_image" and "but text" in text.what
    pointer = refusal_of(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n")
    assert "git lfs pull" in pointer.remedy
    assert refusal_of(bytes(range(128, 256)) * 4).code == "not_an_image"


def test_other_formats_are_named(encode: Encode) -> None:
    for format in ("GIF", "BMP", "TIFF"):
        error = refusal_of(encode(PIXELS, format))
        assert (error.code, error.what) == ("unsupported_format", f"is a {format} file")


def test_too_many_pixels_are_refused_before_decoding(encode: Encode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PIXELS", 40 * 30 - 1)
    assert refusal_of(encode(PIXELS)).what.startswith("is 40x30")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_small_file_that_claims_a_huge_picture(raw_png: Callable[..., bytes]) -> None:
    content = bytearray(raw_png([b"\0"], width=1, bit_depth=8, colour_type=0))
    for side in (10_000, 60_000):
        content[16:24] = struct.pack(">II", side, side)
        content[29:33] = struct.pack(">I", zlib.crc32(bytes(content[12:29])))
        assert refusal_of(bytes(content)).code == "too_large"


def test_sniffed_formats(encode: Encode) -> None:
    assert sniff_format(encode(PIXELS)) == "PNG" and sniff_format(encode(PIXELS, "JPEG")) == "JPEG"
    assert sniff_format("grüße".encode()) == "text" and sniff_format(b"\x00\x01\x02") == "unknown"
    assert sniff_format(("x" * 1023 + "é").encode()) == "text"
