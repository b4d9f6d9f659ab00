"""Measures how far perceptual hashes tell copies of an image from other images, and what they cost.

    .venv/bin/python tests/benchmarks/measure_near_duplicates.py CAMVID

Copies are made of the images of CamVid and of the embedded sample. Other images are, in CamVid, those of
other sequences (the same streets at another time), and in the sample those of other splits.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
import timeit
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from data.digits.write_sample import write_digits_sample
from data.hash_thumbnail import HASH_BITS
from data.measure_image import measure_image
from data.open_image import open_image


def encode(image: Image.Image, quality: int) -> Image.Image:
    """Returns what is left of an image as a JPEG."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream)


def halve(image: Image.Image) -> Image.Image:
    """Returns an image of half the size."""
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.BICUBIC)


def brighten(image: Image.Image, factor: float) -> Image.Image:
    """Returns an image whose values are multiplied."""
    return ImageEnhance.Brightness(image).enhance(factor)


def crop(image: Image.Image, *shares: float) -> Image.Image:
    """Returns an image without so much of its left, upper, right and lower side."""
    left, upper, right, lower = shares
    width, height = image.size
    return image.crop(
        (
            round(left * width),
            round(upper * height),
            round(width - right * width),
            round(height - lower * height),
        )
    )


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG 95": lambda image: encode(image, 95),
    "JPEG 75": lambda image: encode(image, 75),
    "JPEG 60": lambda image: encode(image, 60),
    "half the size": halve,
    "10 % brighter": lambda image: brighten(image, 1.1),
    "10 % darker": lambda image: brighten(image, 0.9),
    "all three, JPEG 60": lambda image: encode(halve(brighten(image, 1.1)), 60),
    "1 % off each side": lambda image: crop(image, 0.01, 0.01, 0.01, 0.01),
    "2 % off two sides": lambda image: crop(image, 0.02, 0.0, 0.0, 0.02),
}


def hash_all(images: Iterable[Image.Image]) -> np.ndarray:
    """Returns bool [images, 256]."""
    hashes = [bytes.fromhex(measure_image(image)[1] or "00" * (HASH_BITS // 8)) for image in images]
    return np.unpackbits(np.array([list(one) for one in hashes], np.uint8), axis=1) > 0


def measure(name: str, paths: list[Path], groups: list[str]) -> None:
    """Prints the distances of copies, and the smallest between images of two groups."""
    images = [Image.open(path).convert("RGB") for path in paths]
    hashes = hash_all(images)
    print(f"{name}: {len(images)} images; bits that differ (median, 99 %, most)")
    for copy, make in COPIES.items():
        distances = (hash_all(make(image) for image in images) != hashes).sum(axis=1)
        print(
            f"  {copy:<20} {np.median(distances):3.0f} {np.percentile(distances, 99):3.0f}"
            f" {distances.max():3d}"
        )
    signs = 2.0 * hashes - 1
    other = np.array(groups)[:, np.newaxis] != np.array(groups)
    print(f"  other images, least  {((HASH_BITS - signs @ signs.T) / 2)[other].min():3.0f}")


def measure_cost(paths: list[Path]) -> None:
    """Prints what the hash takes: what ``measure_image`` takes and the mean alone does not."""
    for kind in ("PNG", "JPEG"):
        milliseconds = np.zeros(3)
        for path in paths:
            stream = io.BytesIO()
            Image.open(path).convert("RGB").save(stream, kind)
            content = stream.getvalue()
            image = open_image(content)
            milliseconds += [
                time_best(lambda content=content: open_image(content)),
                time_best(lambda image=image: int(np.asarray(image).sum(dtype=np.uint32))),
                time_best(lambda image=image: measure_image(image)),
            ]
        decode, mean, both = milliseconds / len(paths)
        print(
            f"{kind}: decoding {decode:.2f} ms, mean {mean:.2f} ms, hash {both - mean:.2f} ms an image:"
            f" {(both - mean) / (decode + mean):.1%} of the others"
        )


def time_best(work: Callable[[], object]) -> float:
    """Returns the milliseconds of processor time that the fastest of many tries takes."""
    return 1e3 * min(timeit.repeat(work, number=1, repeat=25, timer=time.process_time))


def main() -> None:
    """Measures both data sets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("camvid", type=Path)
    camvid = sorted(
        path for split in ("train", "val") for path in (parser.parse_args().camvid / split).glob("*.png")
    )
    measure("CamVid", camvid, [path.name.partition("_")[0] for path in camvid])
    with tempfile.TemporaryDirectory() as folder:
        root = write_digits_sample(Path(folder) / "sample") / "images"
        sample = sorted(path for path in root.rglob("*") if path.is_file())
        measure("embedded sample", sample, [path.parent.name for path in sample])
    measure_cost(camvid[:40])


if __name__ == "__main__":
    main()
