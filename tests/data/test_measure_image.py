from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from data import count_colours
from data.find_near_duplicates import MAX_DISTANCE
from data.hash_thumbnail import hash_thumbnail
from data.measure_image import measure_image


def distance(one: Image.Image, other: Image.Image) -> int:
    first, second = (int(measure_image(image)[1], 16) for image in (one, other))
    return (first ^ second).bit_count()


def as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream)


def halve(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.BICUBIC)


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "jpeg": lambda image: as_jpeg(image, 60),
    "half": halve,
    "larger": lambda image: image.resize((500, 333), Image.Resampling.BILINEAR),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.9),
    "cropped": lambda image: image.crop((3, 2, image.width - 3, image.height - 2)),
    "grey": lambda image: image.convert("L"),
    "alpha": lambda image: image.convert("RGBA"),
    "all": lambda image: as_jpeg(halve(ImageEnhance.Brightness(image).enhance(1.1)), 75),
}


@pytest.mark.parametrize("copy", COPIES)
def test_copies_are_near_and_other_pictures_are_not(
    make_picture: Callable[[int], Image.Image], copy: str
) -> None:
    pictures = [make_picture(seed) for seed in range(6)]
    copies = [COPIES[copy](picture) for picture in pictures]
    for index, picture in enumerate(pictures):
        found = [distance(picture, other) for other in copies]
        assert found[index] <= MAX_DISTANCE < 1.5 * MAX_DISTANCE < min(found[:index] + found[index + 1 :])


def test_blocks_are_means_of_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (96, 160)).astype(np.uint8)
    # 160x96 in blocks of 5x3: 32x32 means.
    thumbnail = np.rint(pixels.reshape(32, 3, 32, 5).mean(axis=(1, 3))).astype(np.uint8)
    mean, digest = measure_image(Image.fromarray(pixels))
    assert digest == hash_thumbnail(thumbnail) and mean == pixels.mean()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "1"])
def test_strips_give_what_the_whole_gives(
    make_picture: Callable[[int], Image.Image], monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    picture = make_picture(3).convert(mode)
    whole = measure_image(picture)
    # 320 pixels wide in blocks of 10x7: strips of 7 rows, the last one of 2.
    monkeypatch.setattr(count_colours, "_STRIP_PIXELS", 2500)
    assert len(list(count_colours.cut_strips(240, 320, 7))) == 35
    assert measure_image(picture) == whole and whole[1]
    colours = "L" if mode in ("L", "LA", "1") else "RGB"
    assert measure_image(picture.convert(colours)) == whole


def test_sixteen_bits_are_those_of_eight(make_picture: Callable[[int], Image.Image]) -> None:
    grey = np.asarray(make_picture(1).convert("L"))
    deep = Image.fromarray(grey.astype(np.uint16) * 257)
    assert deep.mode == "I;16"
    assert measure_image(deep) == measure_image(Image.fromarray(grey))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_hash_is_that_of_the_picture_as_displayed(orientation: int) -> None:
    stored = Image.fromarray(np.random.default_rng(5).integers(0, 256, (96, 64)).astype(np.uint8))
    stored.getexif()[0x0112] = orientation
    displayed = ImageOps.exif_transpose(stored)
    assert displayed is not None
    assert measure_image(stored, orientation)[1] == measure_image(displayed)[1]


@pytest.mark.parametrize(
    ("size", "digits"), [((1, 1), 0), ((2000, 1), 0), ((1, 90), 0), ((3, 2), 64), ((33, 31), 64)]
)
def test_small_and_narrow_pictures(size: tuple[int, int], digits: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    mean, digest = measure_image(Image.fromarray(pixels))
    # In a single row of pixels, all but a few of the frequencies are 0.
    assert mean == pytest.approx(pixels.mean()) and len(digest) == digits
