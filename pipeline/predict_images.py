"""Predicts a plan's images: reads ahead, batches what fits, and goes on when one image is bad."""

from __future__ import annotations

import io
import struct
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from PIL import Image

from data.classes import ClassTable
from data.open_files import read_bytes
from data.open_image import IMAGE_FORMATS, MAX_PIXELS, UnreadableImageError, open_image
from pipeline.plan_predictions import PlannedImage
from pipeline.prediction_documents import PredictedImage
from pipeline.write_predictions import encode_colours, encode_overlay, measure_shares, read_ids, write_below
from trainer.inference_config import InferenceConfig
from trainer.predict import Prediction, PredictionError, Predictor

_BATCH_PIXELS = 8_000_000
"""Images that together have more, at their own sizes, are not decoded at once."""
_REMEDY = "Restore or replace the file, or leave it out"

Item = TypeVar("Item")


@dataclass(frozen=True)
class OutputOptions:
    """What is written, and how.

    Attributes:
        out: the folder.
        colours: masks have the classes' colours instead of their ids.
        overlay: write overlays too.
        tile_px: side of the tiles, None for images in one piece.
        inference: flips, scales and windows, None for the model's own. Tiles have none of them.
    """

    out: Path
    colours: bool = False
    overlay: bool = False
    tile_px: int | None = None
    inference: InferenceConfig | None = None


@dataclass(frozen=True)
class _Read:
    """A file that was read; ``error`` says why it cannot be an image."""

    planned: PlannedImage
    content: bytes
    pixels: int
    error: str | None
    seconds: float


def predict_images(
    predictor: Predictor, images: Iterable[PlannedImage], classes: ClassTable, options: OutputOptions
) -> Iterator[PredictedImage]:
    """Predicts and writes images, in their order.

    Args:
        predictor: the loaded model.
        images: and the names of their outputs.
        classes: names and colours.
        options: see there.
    """
    limit = 1 if options.tile_px else predictor.batch_limit()
    for batch in _work_ahead(_group(map(_read, images), limit)):
        started = time.monotonic()
        answers = _predict_batch(predictor, batch, options)
        seconds = (time.monotonic() - started) / len(batch)
        for read, answer in zip(batch, answers, strict=True):
            yield _finish(read, answer, classes, options, seconds + read.seconds)


def _read(planned: PlannedImage) -> _Read:
    """Reads a file and its header; the model decodes the rest."""
    started = time.monotonic()
    content, pixels, error = b"", 0, None
    try:
        content = read_bytes(planned.image)
        with Image.open(io.BytesIO(content), formats=IMAGE_FORMATS) as image:
            pixels = image.width * image.height
        if pixels > MAX_PIXELS:
            error = _explain(content)
    except OSError as problem:
        error = f"cannot be read ({problem.strerror})" if problem.strerror else _explain(content)
    except (ValueError, SyntaxError, struct.error, zlib.error, Image.DecompressionBombError):
        error = _explain(content)
    return _Read(planned, content, pixels, error, time.monotonic() - started)


def _explain(content: bytes) -> str | None:
    """Returns why a file is no image that can be decoded; None if it is one."""
    try:
        open_image(content)
    except UnreadableImageError as error:
        return error.what
    return None


def _group(files: Iterable[_Read], limit: int) -> Iterator[list[_Read]]:
    """Yields batches of consecutive files; a large image is a batch by itself."""
    batch: list[_Read] = []
    for read in files:
        if batch and sum(one.pixels for one in batch) + read.pixels > _BATCH_PIXELS:
            yield batch
            batch = []
        batch.append(read)
        if len(batch) == limit:
            yield batch
            batch = []
    if batch:
        yield batch


def _work_ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Yields items while a thread makes the next one ready."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(next, items, None)
        while (item := waiting.result()) is not None:
            waiting = pool.submit(next, items, None)
            yield item


def _predict_batch(
    predictor: Predictor, batch: Sequence[_Read], options: OutputOptions
) -> list[Prediction | str]:
    """Returns the prediction of each image, or what is wrong with it."""
    good = [read for read in batch if read.error is None]
    try:
        predicted = iter(_predict(predictor, [read.content for read in good], options))
        return [read.error or next(predicted) for read in batch]
    except PredictionError as error:
        if len(good) > 1:
            # The others are fine: each by itself.
            return [_predict_batch(predictor, [read], options)[0] for read in batch]
        what = _explain(good[0].content) or f"the model does not take it: {error}"
        return [read.error or what for read in batch]


def _predict(predictor: Predictor, images: Sequence[bytes], options: OutputOptions) -> list[Prediction]:
    if options.tile_px is not None:
        return [predictor.predict_by_tiles(image, options.tile_px) for image in images]
    return predictor.predict(images, options.inference) if images else []


def _finish(
    read: _Read, answer: Prediction | str, classes: ClassTable, options: OutputOptions, seconds: float
) -> PredictedImage:
    """Writes an image's outputs and describes them."""
    if isinstance(answer, str):
        return _describe_failure(read, f"{answer.rstrip('.')}. {_REMEDY}.", seconds)
    started = time.monotonic()
    class_ids = read_ids(answer.mask_png)
    try:
        content = encode_colours(class_ids, classes) if options.colours else answer.mask_png
        mask = write_below(options.out, read.planned.mask, content)
        overlay = None
        if options.overlay:
            blended = encode_overlay(read.content, class_ids, classes)
            overlay = write_below(options.out, read.planned.overlay, blended)
    except OSError as error:
        what = f"its mask cannot be written: {error}. Mend {options.out}, or choose another --out."
        return _describe_failure(read, what, seconds)
    return PredictedImage(
        image=read.planned.image,
        mask=str(mask),
        overlay=str(overlay) if overlay else None,
        height_px=class_ids.shape[0],
        width_px=class_ids.shape[1],
        mean_confidence=round(answer.mean_confidence, 6),
        shares=measure_shares(class_ids, classes),
        seconds=round(seconds + time.monotonic() - started, 4),
        tile_px=options.tile_px,
        error=None,
    )


def _describe_failure(read: _Read, error: str, seconds: float) -> PredictedImage:
    return PredictedImage(
        image=read.planned.image,
        mask=None,
        overlay=None,
        height_px=None,
        width_px=None,
        mean_confidence=None,
        shares=None,
        seconds=round(seconds, 4),
        tile_px=None,
        error=error,
    )
