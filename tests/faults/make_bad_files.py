"""Image and mask files of every kind that data sets bring along, with what must become of each."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

Pixels = NDArray[np.integer]

_random = np.random.default_rng(7)
HEIGHT, WIDTH = 11, 13
GREY: Pixels = _random.integers(0, 256, (HEIGHT, WIDTH), np.uint8)
RGB: Pixels = _random.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
RAMP: Pixels = np.stack(
    [np.add.outer(np.arange(HEIGHT) * 9, np.arange(WIDTH) * 9 + k) for k in (0, 9, 4)], -1
)
IDS: Pixels = _random.choice(np.array([0, 1, 255], np.uint8), (HEIGHT, WIDTH))
BITS: Pixels = _random.integers(0, 2, (HEIGHT, WIDTH), np.uint8)
ORIENTATION = 0x0112


def encode(pixels: Pixels, format: str = "PNG", mode: str | None = None, **options: Any) -> bytes:
    stream = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(stream, format, **options)
    return stream.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def write_png(
    rows: list[bytes], size: tuple[int, int], bits: int, colour: int, *extra: bytes, interlace: int = 0
) -> bytes:
    """Writes a PNG by hand (PNG 1.2, section 11): rows of packed samples, each behind a filter byte of 0."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, bits, colour, 0, 0, interlace))
    data = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows), 9))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + data + chunk(b"IEND", b"")


def interlace(pixels: Pixels, colour: int) -> bytes:
    """Writes the seven passes of Adam7 (PNG 1.2, section 8.2)."""
    passes = (
        (0, 8, 0, 8),
        (0, 8, 4, 8),
        (4, 8, 0, 4),
        (0, 4, 2, 4),
        (2, 4, 0, 2),
        (0, 2, 1, 2),
        (1, 2, 0, 1),
    )
    rows = [
        row.tobytes()
        for top, down, left, across in passes
        for row in pixels[top::down, left::across]
        if row.size
    ]
    return write_png(rows, (pixels.shape[1], pixels.shape[0]), 8, colour, interlace=1)


def with_exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encode(RAMP.astype(np.uint8), "JPEG", quality=100, subsampling=0, exif=exif)


def turn(pixels: Pixels, orientation: int) -> Pixels:
    """Turns what is stored into what is shown (TIFF 6.0, tag Orientation: where row 0 and column 0 are)."""
    shown = pixels.swapaxes(0, 1) if orientation >= 5 else pixels
    shown = shown[:, ::-1] if orientation in (2, 3, 6, 7) else shown
    return shown[::-1] if orientation in (3, 4, 7, 8) else shown


def flip(content: bytes, position: int) -> bytes:
    changed = bytearray(content)
    changed[position] ^= 0x10
    return bytes(changed)


def grey_of(values: Pixels) -> Pixels:
    return np.repeat(values[..., None], 3, axis=2)


def write_tiff_header(width: int, height: int) -> bytes:
    """Writes a TIFF of one strip that it does not have (TIFF 6.0, section 2)."""
    entries = [
        (256, 4, width),
        (257, 4, height),
        (258, 3, 8),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 8),
        (277, 3, 1),
    ]
    packed = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + packed + bytes(4)


@dataclass(frozen=True)
class Case:
    """A pair of files, and what must become of it: known pixels and ids, or a refusal of one of the files."""

    image: bytes = encode(RGB)
    mask: bytes = encode(IDS)
    refused: tuple[str, ...] = ()
    """``images code`` or ``masks code`` of every problem."""
    pixels: Pixels | None = None
    ids: Pixels | None = None
    tolerance: float = 0
    mask_ending: str = ".png"

    def shown(self) -> tuple[Pixels, Pixels]:
        return (RGB if self.pixels is None else self.pixels, IDS if self.ids is None else self.ids)


def taken(image: bytes, pixels: Pixels, ids: Pixels | None = None, tolerance: float = 0) -> Case:
    return Case(image, IDS_FILE if ids is None else encode(ids), pixels=pixels, ids=ids, tolerance=tolerance)


def bad_image(image: bytes, code: str) -> Case:
    return Case(image, refused=(f"images {code}",))


def bad_mask(mask: bytes, code: str, ending: str = ".png") -> Case:
    return Case(mask=mask, refused=(f"masks {code}",), mask_ending=ending)


def taken_mask(mask: bytes, ids: Pixels = IDS, ending: str = ".png") -> Case:
    return Case(mask=mask, ids=ids, mask_ending=ending)


IDS_FILE = encode(IDS)
PNG = encode(RGB)
JPEG = encode(RAMP.astype(np.uint8), "JPEG", quality=100, subsampling=0)
PALETTE = Image.fromarray(RGB).quantize(16)
DEEP: Pixels = _random.integers(0, 65536, (HEIGHT, WIDTH, 3)).astype(np.uint16)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
SECOND = [Image.fromarray(RGB[::-1].copy())]


def save_image(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def _good_images() -> dict[str, Case]:
    rgba = np.concatenate([RGB, GREY[..., None]], -1)
    palette_pixels = np.asarray(PALETTE.convert("RGB"))
    flat = [row.tobytes() for row in np.packbits(BITS, axis=1)]
    # Quality 100 rounds; another decoder may round the other way.
    jpeg = {f"EXIF orientation {o}": (with_exif(o), o) for o in range(1, 9)}
    exif = {
        name: taken(content, turn(RAMP, o), turn(IDS, o), tolerance=3) for name, (content, o) in jpeg.items()
    }
    return (
        exif
        | {
            "grey PNG": taken(encode(GREY), grey_of(GREY)),
            "grey PNG with alpha": taken(encode(np.stack([GREY, BITS], -1)), grey_of(GREY)),
            "PNG with alpha": taken(encode(rgba), RGB),
            "palette PNG": taken(save_image(PALETTE), palette_pixels),
            "palette PNG with transparency": taken(save_image(PALETTE, transparency=3), palette_pixels),
            "1-bit PNG": taken(write_png(flat, (WIDTH, HEIGHT), 1, 0), grey_of(BITS * 255)),
            "16-bit grey PNG": taken(
                encode(DEEP[..., 0]), grey_of(DEEP[..., 0] >> 8), tolerance=1
            ),  # Its mean keeps all bits.
            "16-bit PNG": taken(
                write_png([row.astype(">u2").tobytes() for row in DEEP], (WIDTH, HEIGHT), 16, 2), DEEP >> 8
            ),
            "interlaced PNG": taken(interlace(RGB, 2), RGB),
            "PNG with an ICC profile": taken(encode(RGB, icc_profile=PROFILE), RGB),
            "PNG with a gamma": taken(
                write_png(
                    [r.tobytes() for r in RGB], (WIDTH, HEIGHT), 8, 2, chunk(b"gAMA", struct.pack(">I", 9))
                ),
                RGB,
            ),
            "PNG with bytes behind its end": taken(PNG + b"junk" * 100, RGB),
            "JPEG named PNG": taken(JPEG, RAMP, tolerance=3),
            "progressive JPEG": taken(
                encode(RAMP.astype(np.uint8), "JPEG", quality=100, subsampling=0, progressive=True),
                RAMP,
                tolerance=3,
            ),
            "grey JPEG": taken(
                encode(RAMP[..., 0].astype(np.uint8), "JPEG", quality=100), grey_of(RAMP[..., 0]), tolerance=3
            ),
            "JPEG with an ICC profile": taken(
                encode(RAMP.astype(np.uint8), "JPEG", quality=100, subsampling=0, icc_profile=PROFILE),
                RAMP,
                tolerance=3,
            ),
            "JPEG with a broken EXIF block": taken(
                encode(
                    RAMP.astype(np.uint8),
                    "JPEG",
                    quality=100,
                    subsampling=0,
                    exif=b"Exif\0\0II*\0\xff\xff\xff\x7f",
                ),
                RAMP,
                tolerance=3,
            ),
            "camera JPEG of two pictures": taken(
                save_image(
                    Image.fromarray(RAMP.astype(np.uint8)),
                    "MPO",
                    quality=100,
                    subsampling=0,
                    save_all=True,
                    append_images=SECOND,
                ),
                RAMP,
                tolerance=3,
            ),
            "one pixel wide": taken(encode(RGB[:, :1]), RGB[:, :1], IDS[:, :1]),
            "one pixel high": taken(encode(RGB[:1]), RGB[:1], IDS[:1]),
            "one pixel": taken(encode(RGB[:1, :1]), RGB[:1, :1], IDS[:1, :1]),
        }
    )


def _bad_images() -> dict[str, Case]:
    zeros = zlib.compress(bytes(50_000_000), 9)
    bomb = write_png([b""], (50_000, 50_000), 8, 2).replace(
        chunk(b"IDAT", zlib.compress(b"\0", 9)), chunk(b"IDAT", zeros)
    )
    size = (WIDTH, HEIGHT)
    rows = [row.tobytes() for row in RGB]
    frame = JPEG.index(b"\xff\xc0")
    return {
        "empty file": bad_image(b"", "empty_file"),
        "truncated PNG": bad_image(PNG[: len(PNG) // 2], "truncated_image"),
        "PNG without its last byte": bad_image(PNG[:-1], "truncated_image"),
        "truncated JPEG": bad_image(JPEG[: len(JPEG) // 2], "truncated_image"),
        "bit-flipped PNG": bad_image(flip(PNG, len(PNG) // 2), "truncated_image"),
        "PNG with a flipped size": bad_image(flip(PNG, 19), "truncated_image"),
        "JPEG with a flipped marker": bad_image(flip(JPEG, frame + 1), "truncated_image"),
        "wrong magic number": bad_image(b"\x88" + PNG[1:], "not_an_image"),
        "zeros": bad_image(bytes(1000), "not_an_image"),
        "text": bad_image(b"<html>404 not found</html>\n", "not_an_image"),
        "Git LFS pointer": bad_image(b"version https://git-lfs.github.com/spec/v1\nsize 3\n", "not_an_image"),
        "CMYK JPEG": bad_image(encode(RGB, "JPEG", "CMYK"), "unsupported_format"),
        "GIF named PNG": bad_image(encode(RGB, "GIF"), "unsupported_format"),
        "WebP named PNG": bad_image(encode(RGB, "WEBP"), "unsupported_format"),
        "animated PNG": bad_image(
            save_image(Image.fromarray(RGB), save_all=True, append_images=SECOND), "several_pictures"
        ),
        "bomb of 50 kB, 50,000 by 50,000": bad_image(bomb, "too_large"),
        "huge size in a tiny PNG": bad_image(write_png([b"\0"], (2**31 - 1, 2**31 - 1), 8, 0), "too_large"),
        "very wide PNG": bad_image(write_png([b"\0"], (100_000_000, 1), 8, 0), "too_large"),
        "huge size in a JPEG": bad_image(
            JPEG[: frame + 5] + b"\xff\xff\xff\xff" + JPEG[frame + 9 :], "too_large"
        ),
        "bomb of text": bad_image(
            write_png(rows, size, 8, 2, chunk(b"zTXt", b"a\0\0" + zeros)), "truncated_image"
        ),
        "no pixel wide": bad_image(write_png([b""] * 3, (0, 3), 8, 2), "truncated_image"),
        "no pixel high": bad_image(write_png([], (3, 0), 8, 2), "truncated_image"),
    }


def _masks() -> dict[str, Case]:
    grey = Image.fromarray(IDS)
    indexed = Image.fromarray(IDS % 255).convert("P")
    indexed.putdata(BITS.ravel().tolist())
    indexed.putpalette([200, 0, 0, 0, 200, 0])
    floats = IDS.astype(np.float32)
    floats[2, 2] = np.nan
    below = IDS.astype(np.int32)
    below[0, 0] = -1
    deep_rows = [
        row.astype(">u2").tobytes() for row in np.repeat(IDS[..., None].astype(np.uint16) + 256, 3, 2)
    ]
    several = [Image.fromarray(IDS[::-1].copy())]
    colours = np.array([[200, 0, 0], [0, 200, 0]], np.uint8)[BITS]
    return {
        "16-bit mask": taken_mask(encode(IDS.astype(np.uint16))),
        "1-bit mask": taken_mask(encode(BITS * 255, mode="1"), BITS),
        "palette mask": taken_mask(save_image(indexed), BITS),
        "palette mask with transparency": taken_mask(save_image(indexed, transparency=1), BITS),
        "interlaced mask": taken_mask(interlace(IDS, 0)),
        "mask of three equal channels": taken_mask(encode(grey_of(IDS))),
        "mask with alpha": taken_mask(encode(np.stack([IDS, GREY], -1))),
        "BMP mask": taken_mask(encode(IDS, "BMP"), ending=".bmp"),
        "TIFF mask": taken_mask(encode(IDS, "TIFF", compression="tiff_lzw"), ending=".tif"),
        "32-bit TIFF mask": taken_mask(encode(IDS.astype(np.int32), "TIFF"), ending=".tif"),
        "mask with too many values": bad_mask(
            encode(np.resize(np.arange(256, dtype=np.uint8), IDS.shape)), "unknown_class_id"
        ),
        "mask with a negative value": bad_mask(encode(below, "TIFF"), "unknown_class_id", ".tif"),
        "float TIFF mask with NaN": bad_mask(encode(floats, "TIFF"), "unsupported_mask", ".tif"),
        "mask of three 16-bit channels": bad_mask(
            write_png(deep_rows, (WIDTH, HEIGHT), 16, 2), "unsupported_mask"
        ),
        "colour picture as mask": bad_mask(encode(colours), "mask_is_colour"),
        "CMYK TIFF mask": bad_mask(encode(colours, "TIFF", "CMYK"), "unsupported_mask", ".tif"),
        "TIFF mask with JPEG inside": bad_mask(
            encode(IDS, "TIFF", compression="jpeg"), "unsupported_mask", ".tif"
        ),
        "JPEG mask": bad_mask(encode(IDS, "JPEG"), "unsupported_format"),
        "animated GIF mask": bad_mask(
            save_image(grey, "GIF", save_all=True, append_images=several), "several_pictures", ".gif"
        ),
        "TIFF mask of several pages": bad_mask(
            save_image(grey, "TIFF", save_all=True, append_images=several), "several_pictures", ".tif"
        ),
        "huge size in a GIF mask": bad_mask(
            encode(IDS, "GIF").replace(struct.pack("<HH", WIDTH, HEIGHT), b"\xff\xff\xff\xff"),
            "too_large",
            ".gif",
        ),
        "huge size in a TIFF mask": bad_mask(write_tiff_header(2**31, 2**31), "too_large", ".tif"),
        "truncated TIFF mask": bad_mask(encode(IDS, "TIFF")[:150], "truncated_image", ".tif"),
        "mask of another size": bad_mask(encode(IDS[1:]), "size_mismatch"),
        "mask that ignores the EXIF orientation": Case(
            with_exif(6), encode(IDS), refused=("masks size_mismatch",)
        ),
        "both files broken": Case(b"", b"text", refused=("images empty_file", "masks not_an_image")),
    }


CASES: dict[str, Case] = {**_good_images(), **_bad_images(), **_masks()}
FUZZED: dict[str, Callable[[], bytes]] = {
    "PNG": lambda: PNG,
    "palette PNG": lambda: save_image(PALETTE),
    "interlaced PNG": lambda: interlace(RGB, 2),
    "JPEG": lambda: with_exif(6),
    "GIF": lambda: encode(IDS, "GIF"),
    "BMP": lambda: encode(IDS, "BMP"),
    "TIFF": lambda: encode(IDS, "TIFF", compression="tiff_lzw"),
    "deflated TIFF": lambda: encode(IDS, "TIFF", compression="tiff_adobe_deflate"),
}
