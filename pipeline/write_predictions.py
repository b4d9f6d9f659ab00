"""Writes masks and overlays: each file appears whole or not at all, and inside the output folder only."""

from __future__ import annotations

import io
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.classes import ClassTable
from data.replace_file import replace_file

_OVERLAY_STRENGTH = 0.5
# Overlays are photographs for the eye; trying harder costs seconds for large ones and saves little.
_OVERLAY_COMPRESSION = 1


def read_ids(mask_png: bytes) -> NDArray[np.uint8]:
    """Returns the class ids, uint8 [height, width], of a model's answer."""
    with Image.open(io.BytesIO(mask_png)) as mask:
        return np.asarray(mask)


def measure_shares(class_ids: NDArray[np.uint8], classes: ClassTable) -> dict[str, float]:
    """Returns the share of the pixels of each class, by name."""
    counts = np.bincount(class_ids.ravel(), minlength=256)
    return {entry.name: round(int(counts[entry.id]) / class_ids.size, 6) for entry in classes.classes}


def encode_colours(class_ids: NDArray[np.uint8], classes: ClassTable) -> bytes:
    """Returns an RGB PNG in which every pixel has its class' colour."""
    return _encode_png(Image.fromarray(classes.palette()[class_ids]))


def encode_overlay(image: bytes, class_ids: NDArray[np.uint8], classes: ClassTable) -> bytes:
    """Returns an RGB PNG of the image blended with the classes' colours.

    Args:
        image: the encoded image; decoded as the model decodes it, EXIF orientation and all.
        class_ids: uint8 [height, width].
        classes: has the colours.
    """
    import tensorflow as tf

    from data.decode_image import decode_image

    pixels = tf.cast(decode_image(tf.constant(image)), tf.uint8).numpy()
    colours = Image.fromarray(classes.palette()[class_ids])
    blended = Image.blend(Image.fromarray(pixels), colours, _OVERLAY_STRENGTH)
    return _encode_png(blended, _OVERLAY_COMPRESSION)


def write_below(out: Path, below: PurePosixPath | str, content: bytes) -> Path:
    """Writes a file below a folder, all of it or nothing.

    Raises:
        OSError: it cannot be written, or a link leads out of the folder.
    """
    path = out / below
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.parent.resolve().is_relative_to(out.resolve()):
        raise OSError(f"{path.parent} leads out of {out}")
    replace_file(path, content)
    return path


def _encode_png(image: Image.Image, compression: int = 6) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=compression)
    return stream.getvalue()
