"""Finds the worst and the middling images of a split by the model's own ``evaluate`` signature."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from components.report.describe_confusion import list_mistakes
from components.report.draw_pictures import decode_ids, draw_error, draw_image, draw_mask, open_image
from components.report.facts import ImageResult, ImageResults
from components.report.format_values import defined
from data import features
from data.classes import ClassTable
from data.cut_by_pixels import cut_by_pixels
from data.progress import current
from trainer.confusion_matrix import compute_metrics

MAX_RANKED = 2000
"""So many images are scored one by one."""
BATCH_SIZE = 8
IMAGES_A_GROUP = 4


@dataclass(frozen=True)
class _Ranked:
    """The score of one image; ``position`` counts the split's records."""

    position: int
    image_id: str
    mean_iou: float
    pixel_accuracy: float
    matrix: NDArray[np.int64]

    def badness(self) -> tuple[float, float, str]:
        return self.mean_iou, self.pixel_accuracy, self.image_id


def choose_images(
    model_dir: str,
    files: Sequence[str],
    split: str,
    classes: ClassTable,
    max_ranked: int = MAX_RANKED,
    num_images: int | None = None,
) -> ImageResults:
    """Scores each image of a split and draws the worst and the middling ones.

    Args:
        model_dir: a SavedModel with the signatures ``evaluate`` and ``serving_default``.
        files: the split's TFRecord files of raw examples.
        split: its name.
        classes: the model's classes.
        max_ranked: only so many images are scored, the first ones.
        num_images: of the split, if known: how long it will take.

    Returns:
        Up to four images of each kind. An image that is void all over has no score and is left out.
    """
    model = tf.saved_model.load(model_dir)
    files = sorted(files)
    total = None if num_images is None else min(num_images, max_ranked)
    ranked, num_read, is_whole = _rank_images(model, files, classes, max_ranked, total)
    worst = ranked[:IMAGES_A_GROUP]
    middle = len(ranked) // 2 - IMAGES_A_GROUP // 2
    # Of few images, some in the middle are among the worst already.
    median = ranked[max(middle, len(worst)) : middle + IMAGES_A_GROUP]
    records = _read_positions(files, {entry.position for entry in (*worst, *median)})
    drawn = {
        entry.position: _draw(model, records[entry.position], entry, classes) for entry in (*worst, *median)
    }
    return ImageResults(
        split,
        num_read,
        is_whole,
        tuple(drawn[entry.position] for entry in worst),
        tuple(drawn[entry.position] for entry in median),
    )


def _rank_images(
    model: Any, files: Sequence[str], classes: ClassTable, max_ranked: int, total: int | None
) -> tuple[list[_Ranked], int, bool]:
    """Returns the scored images, worst first, the number of images read, and whether those are all."""
    evaluate = model.signatures["evaluate"]
    ranked: list[_Ranked] = []
    num_read = 0
    # One more than wanted tells whether there are more.
    records = _read_records(files).take(max_ranked + 1).batch(BATCH_SIZE)
    is_whole = True
    with current().stage("scoring images", total=total) as stage:
        for batch in records:
            if num_read + len(batch) > max_ranked:
                batch, is_whole = batch[: max_ranked - num_read], False
            if not len(batch):
                break
            for record, matrix in _count_confusions(evaluate, batch):
                entry = _score(num_read, record, matrix, classes)
                if not math.isnan(entry.mean_iou):
                    ranked.append(entry)
                num_read += 1
                stage.advance()
    return sorted(ranked, key=_Ranked.badness), num_read, is_whole


def _count_confusions(evaluate: Any, batch: tf.Tensor) -> Iterator[tuple[bytes, NDArray[np.int64]]]:
    """Yields each record of a batch and its image's confusion matrix; large images go one by one."""
    records = batch.numpy()
    for piece in cut_by_pixels([_count_pixels(record) for record in records], len(records)):
        matrices = evaluate(examples=batch[piece])["confusion_matrix"].numpy()
        yield from zip(records[piece], matrices, strict=True)


def _count_pixels(record: bytes) -> int:
    """Returns the pixels of a record's image at its own size; 0 if it does not say."""
    found = tf.train.Example.FromString(record).features.feature
    sides = (found[key].int64_list.value for key in (features.IMAGE_HEIGHT_PX, features.IMAGE_WIDTH_PX))
    return math.prod(sum(side) for side in sides)


def _score(position: int, record: bytes, matrix: NDArray[np.int64], classes: ClassTable) -> _Ranked:
    metrics = compute_metrics(matrix, classes.names)
    image_id = _read_bytes(tf.train.Example.FromString(record), features.IMAGE_ID).decode("utf-8", "replace")
    return _Ranked(position, image_id, metrics["mean_iou"], metrics["pixel_accuracy"], matrix)


def _read_records(files: Sequence[str]) -> tf.data.Dataset:
    plain = [file for file in files if not file.endswith(".gz")]
    packed = [file for file in files if file.endswith(".gz")]
    return tf.data.TFRecordDataset(plain).concatenate(tf.data.TFRecordDataset(packed, "GZIP"))


def _read_positions(files: Sequence[str], positions: set[int]) -> Mapping[int, bytes]:
    def wanted() -> Iterator[tuple[int, bytes]]:
        for position, record in enumerate(_read_records(files).take(max(positions) + 1).as_numpy_iterator()):
            if position in positions:
                yield position, record

    return dict(wanted()) if positions else {}


def _draw(model: Any, record: bytes, entry: _Ranked, classes: ClassTable) -> ImageResult:
    example = tf.train.Example.FromString(record)
    encoded = _read_bytes(example, features.IMAGE_ENCODED)
    truth = decode_ids(_read_bytes(example, features.MASK_ENCODED))
    served = model.signatures["serving_default"](image_bytes=tf.constant([encoded]))
    prediction = decode_ids(served["mask_png_bytes"].numpy()[0])
    image = open_image(encoded)
    labelled = int(entry.matrix.sum())
    mistakes = list_mistakes(entry.matrix, 1)
    worst = (mistakes[0].truth, mistakes[0].prediction, mistakes[0].count / labelled) if mistakes else None
    return ImageResult(
        image_id=entry.image_id,
        mean_iou=defined(entry.mean_iou),
        pixel_accuracy=defined(entry.pixel_accuracy),
        width_px=image.width,
        height_px=image.height,
        image=draw_image(encoded, entry.image_id),
        truth=draw_mask(truth, classes, "Truth"),
        prediction=draw_mask(prediction, classes, "Prediction"),
        error=draw_error(image, truth, prediction, classes.ignore_id),
        worst_confusion=worst,
    )


def _read_bytes(example: tf.train.Example, key: str) -> bytes:
    values = example.features.feature[key].bytes_list.value
    if not values:
        raise ValueError(f"an example has no {key}")
    return bytes(values[0])
