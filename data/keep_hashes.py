"""The perceptual hashes of a run's examples, in a file beside them.

They are no feature of the examples: whoever compares them reads a line an image, not all the images, and
examples and models of earlier versions go together with those of later ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict

import tensorflow as tf

from data.find_near_duplicates import HashedImage

HASHES_FILE = "perceptual_hashes.jsonl"


def keep_hashes(images: Iterable[HashedImage], folder: str) -> None:
    """Writes a JSON line an image, sorted by path: the file is there whole or not at all.

    Args:
        images: in any order.
        folder: of the examples.
    """
    path = f"{folder}/{HASHES_FILE}"
    with tf.io.gfile.GFile(path + ".unfinished", "w") as stream:
        for image in sorted(images, key=lambda image: (image.path, image.split)):
            stream.write(json.dumps(asdict(image)) + "\n")
    tf.io.gfile.rename(path + ".unfinished", path, overwrite=True)


def read_hashes(folder: str) -> list[HashedImage] | None:
    """Returns what ``keep_hashes`` wrote; None where a version that computed no hashes made the examples.

    Args:
        folder: of the examples.
    """
    path = f"{folder}/{HASHES_FILE}"
    if not tf.io.gfile.exists(path):
        return None
    with tf.io.gfile.GFile(path, "r") as stream:
        return [HashedImage(**json.loads(line)) for line in stream]
