"""What the smoke test sends: real examples, and images of awkward sizes and formats made from nothing."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image

from data.decode_mask import encode_id_mask
from data.features import (
    IMAGE_BIT_DEPTH,
    IMAGE_CHANNELS,
    IMAGE_ENCODED,
    IMAGE_FORMAT,
    IMAGE_HEIGHT_PX,
    IMAGE_ID,
    IMAGE_WIDTH_PX,
    MASK_ENCODED,
)

_ORIENTATION_TAG = 274
_ROTATED = 6
"""EXIF: shown a quarter turn clockwise, so that height and width change places."""


@dataclass(frozen=True)
class SmokeTestCase:
    """One image, as bytes and within an example, and its mask (8-bit grey PNG)."""

    name: str
    image: bytes
    example: bytes
    mask: bytes
    height_px: int
    """As displayed."""
    width_px: int
    is_rgb: bool
    """The file holds 8-bit RGB pixels as they are, so they can be sent as a tensor too."""

    def save(self, folder: Path, number: int) -> dict[str, Any]:
        """Writes the files and returns what the fresh process has to know."""
        files = {"image": self.image, "example": self.example, "mask": self.mask}
        paths = {kind: folder / f"{number:04}.{kind}" for kind in files}
        for kind, content in files.items():
            paths[kind].write_bytes(content)
        return {
            "name": self.name,
            **{kind: str(path) for kind, path in paths.items()},
            "height_px": self.height_px,
            "width_px": self.width_px,
            "is_rgb": self.is_rgb,
        }


def read_examples(split_uri: str, count: int) -> list[bytes]:
    """Returns the first raw examples of a split, serialized."""
    files = sorted(str(path) for path in Path(split_uri).iterdir() if path.is_file())
    records = tf.data.Dataset.from_tensor_slices(files).flat_map(
        lambda file: tf.data.TFRecordDataset(
            file, tf.where(tf.strings.regex_full_match(file, r".*\.gz"), "GZIP", "")
        )
    )
    return [bytes(record) for record in islice(records.as_numpy_iterator(), count)] if files else []


def make_cases(
    examples: Sequence[bytes], num_classes: int, ignore_id: int, seed: int = 0
) -> list[SmokeTestCase]:
    """Makes every case: the examples as they are, then made-up images within a copy of the first.

    Args:
        examples: raw serialized examples, at least one.
        num_classes: made-up masks hold ids below it, and void.
        ignore_id: the id of void.
        seed: of the made-up pixels.
    """
    cases = [_read_case(example) for example in examples]
    generator = np.random.default_rng(seed)
    for name, height, width, encoded in _make_images(generator):
        ids = generator.integers(0, num_classes, (height, width))
        ids[generator.random((height, width)) < 0.1] = ignore_id
        mask = encode_id_mask(ids.astype(np.uint8))
        example = _replace_image(examples[0], name, encoded, mask, height, width)
        cases.append(SmokeTestCase(name, encoded, example, mask, height, width, _is_plain_rgb(encoded)))
    return cases


def _read_case(serialized: bytes) -> SmokeTestCase:
    features = tf.train.Example.FromString(serialized).features.feature
    encoded = features[IMAGE_ENCODED].bytes_list.value[0]
    mask = features[MASK_ENCODED].bytes_list.value[0]
    with Image.open(io.BytesIO(mask)) as image:
        width, height = image.size
    name = features[IMAGE_ID].bytes_list.value[0].decode("utf-8", "replace")
    return SmokeTestCase(name, encoded, serialized, mask, height, width, _is_plain_rgb(encoded))


def _is_plain_rgb(encoded: bytes) -> bool:
    """JPEG is left out, since decoders round differently."""
    return _describe(encoded) == ("PNG", "RGB", False)


def _describe(encoded: bytes) -> tuple[str, str, bool]:
    """Returns an image file's format, its mode, and whether it says that it is to be turned."""
    with Image.open(io.BytesIO(encoded)) as image:
        return image.format or "", image.mode, image.getexif().get(_ORIENTATION_TAG, 1) != 1


def _make_images(generator: np.random.Generator) -> Iterator[tuple[str, int, int, bytes]]:
    """Yields (name, height, width, file), with height and width as displayed."""

    def noise(*shape: int) -> NDArray[np.uint8]:
        return generator.integers(0, 256, shape).astype(np.uint8)

    exif = Image.Exif()
    exif[_ORIENTATION_TAG] = _ROTATED
    deep = generator.integers(0, 65536, (23, 34)).astype(np.uint16)
    yield "odd sizes", 37, 53, _encode(noise(37, 53, 3), "PNG")
    yield "tall", 211, 45, _encode(noise(211, 45, 3), "PNG")
    yield "one row", 1, 37, _encode(noise(1, 37, 3), "PNG")
    yield "one column", 41, 1, _encode(noise(41, 1, 3), "PNG")
    yield "one pixel", 1, 1, _encode(noise(1, 1, 3), "PNG")
    yield "grey PNG", 29, 31, _encode(noise(29, 31), "PNG")
    yield "16-bit grey PNG", 23, 34, _encode(deep, "PNG")
    yield "RGBA PNG", 30, 41, _encode(noise(30, 41, 4), "PNG")
    yield "palette PNG", 33, 27, _encode(noise(33, 27, 3), "PNG", palette=True)
    yield "JPEG", 48, 65, _encode(noise(48, 65, 3), "JPEG")
    yield "grey JPEG", 50, 39, _encode(noise(50, 39), "JPEG")
    yield "turned JPEG", 61, 35, _encode(noise(35, 61, 3), "JPEG", exif=exif)


def _encode(array: NDArray[Any], image_format: str, palette: bool = False, **options: Any) -> bytes:
    image = Image.fromarray(array)
    stream = io.BytesIO()
    (image.quantize(32) if palette else image).save(stream, image_format, **options)
    return stream.getvalue()


def _replace_image(
    serialized: bytes, name: str, encoded: bytes, mask: bytes, height: int, width: int
) -> bytes:
    """Returns a real example with another image and mask, so that every feature is there."""
    example = tf.train.Example.FromString(serialized)
    features = example.features.feature
    image_format, mode, _ = _describe(encoded)
    texts = {
        IMAGE_ENCODED: encoded,
        IMAGE_FORMAT: image_format.lower().encode(),
        IMAGE_ID: name.encode(),
        MASK_ENCODED: mask,
    }
    numbers = {
        IMAGE_HEIGHT_PX: height,
        IMAGE_WIDTH_PX: width,
        IMAGE_CHANNELS: {"RGB": 3, "P": 3, "RGBA": 4}.get(mode, 1),
        IMAGE_BIT_DEPTH: 16 if mode.startswith("I") else 8,
    }
    for key, text in texts.items():
        features[key].bytes_list.value[:] = [text]
    for key, number in numbers.items():
        features[key].int64_list.value[:] = [number]
    return bytes(example.SerializeToString())
