"""Keeps the images of a page beside it, so that the page can be made again without the model.

Imports neither TFX nor TensorFlow.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

from components.report.facts import ImageResult, ImageResults, Picture
from data.open_files import join_path, read_bytes
from data.replace_file import replace_file

IMAGES_FILE = "images.json"
_PICTURES = ("image", "truth", "prediction", "error")
_DATA_URI = re.compile(r"data:image/(png|jpeg);base64,[A-Za-z0-9+/]+={0,2}")


def write_images(folder: Path, images: ImageResults) -> None:
    """Writes ``images.json``, all of it or nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / IMAGES_FILE, json.dumps(asdict(images)))


def read_images(folder: str, num_classes: int) -> ImageResults:
    """Returns the images that ``write_images`` wrote.

    Args:
        folder: holds ``images.json``.
        num_classes: of the model: no image may name another class.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is damaged, or a picture is none.
    """
    document = json.loads(read_bytes(join_path(folder, IMAGES_FILE)))
    try:
        return ImageResults(
            split=str(document["split"]),
            num_ranked=int(document["num_ranked"]),
            is_whole_split=bool(document["is_whole_split"]),
            worst=tuple(_read_image(entry, num_classes) for entry in document["worst"]),
            median=tuple(_read_image(entry, num_classes) for entry in document["median"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{IMAGES_FILE} lacks {error}") from None


def _read_image(entry: dict[str, Any], num_classes: int) -> ImageResult:
    confusion = entry["worst_confusion"]
    if confusion is not None:
        truth, prediction, share = int(confusion[0]), int(confusion[1]), float(confusion[2])
        if not (0 <= truth < num_classes and 0 <= prediction < num_classes):
            raise ValueError(f"{IMAGES_FILE} names a class that there is not")
        confusion = (truth, prediction, share)
    return ImageResult(
        image_id=str(entry["image_id"]),
        mean_iou=_read_number(entry["mean_iou"]),
        pixel_accuracy=_read_number(entry["pixel_accuracy"]),
        width_px=int(entry["width_px"]),
        height_px=int(entry["height_px"]),
        worst_confusion=confusion,
        **{name: _read_picture(entry[name]) for name in _PICTURES},
    )


def _read_picture(entry: dict[str, Any]) -> Picture:
    data_uri = str(entry["data_uri"])
    if not _DATA_URI.fullmatch(data_uri):
        raise ValueError(f"{IMAGES_FILE} holds a picture that is neither PNG nor JPEG")
    return Picture(data_uri, int(entry["width_px"]), int(entry["height_px"]), str(entry["text"]))


def _read_number(value: Any) -> float | None:
    return None if value is None else float(value)
