"""Runs a pushed model: whole images at once, or a large frame by overlapping tiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from data.resize_example import resize_window
from trainer.average_variants import make_settings
from trainer.classify import BAND_SCORES, classify
from trainer.inference_config import InferenceConfig
from trainer.inference_file import read_inference

# What models of earlier releases, which do not say it themselves, hold at once for a pixel of the frame:
# features of VGG16's first block, in bytes; and for each of its scores (the last deconvolution unrolls 4 of
# them a pixel and writes one; all are floats).
_FEATURE_BYTES = 600
_SCORE_BYTES = 20
_NETWORK_BYTES = 2_000_000_000
_TILE_BYTES = 1_500_000_000
_SMALLEST_TILE_PX = 128
_MAX_BATCH = 8

TILE_SIGNATURES = ("prepare_images", "predict_tiles")
_OPTIONS_SIGNATURE = "serve_with_options"


class PredictionError(Exception):
    """An image that the model could not work on."""


@dataclass(frozen=True)
class Prediction:
    """What the model says of an image.

    Attributes:
        mask_png: an 8-bit grey PNG of class ids at the image's own size.
        mean_confidence: mean over the pixels of the probability of the predicted class.
    """

    mask_png: bytes
    mean_confidence: float


class Predictor:
    """A model that was loaded.

    Args:
        model_dir: folder of a SavedModel, as ``trainer.export`` writes it.

    Attributes:
        can_tile: whether it has the signatures that tiles need; models of earlier releases have not.
        can_average: likewise, for other flips, scales and windows than were built in.
        inference: flips, scales and windows that were built in.
    """

    def __init__(self, model_dir: str) -> None:
        self._model = tf.saved_model.load(model_dir)
        self._signatures = self._model.signatures
        self.can_tile = all(name in self._signatures for name in TILE_SIGNATURES)
        self.can_average = _OPTIONS_SIGNATURE in self._signatures
        self.inference = read_inference(model_dir)

    def batch_limit(self) -> int:
        """Returns how many images may go through the network at once."""
        if not self.can_tile:
            return _MAX_BATCH
        height, width, _ = self._frame_shape()
        return max(1, min(_MAX_BATCH, _NETWORK_BYTES // (height * width * self._pixel_bytes())))

    def choose_tile_px(self) -> int | None:
        """Returns the side of the tiles that a frame is too large to do without; None if it is not."""
        if not self.can_tile:
            return None
        height, width, _ = self._frame_shape()
        pixel_bytes = self._pixel_bytes()
        if height * width * pixel_bytes <= _NETWORK_BYTES:
            return None
        around = 2 * int(self._prepare_none()["tile_reach_px"])
        side = math.isqrt(_TILE_BYTES // pixel_bytes)
        return max(_SMALLEST_TILE_PX, side - around)

    def predict(self, images: Sequence[bytes], inference: InferenceConfig | None = None) -> list[Prediction]:
        """Predicts encoded images of any sizes, as ``serving_default`` does.

        Args:
            images: PNG or JPEG.
            inference: flips, scales and windows; None for those that were built in. Others need
                ``can_average``.

        Raises:
            PredictionError: the model refuses one of them.
        """
        encoded = tf.constant(list(images), tf.string)
        try:
            if inference is None or inference == self.inference:
                answer = self._signatures["serving_default"](image_bytes=encoded)
            else:
                options = make_settings(inference)._asdict()
                answer = self._signatures[_OPTIONS_SIGNATURE](image_bytes=encoded, **options)
        except tf.errors.OpError as error:
            raise _explain(error) from error
        masks, confidences = answer["mask_png_bytes"].numpy(), answer["mean_confidence"].numpy()
        return [Prediction(mask, float(value)) for mask, value in zip(masks, confidences, strict=True)]

    def predict_by_tiles(self, image: bytes, tile_px: int) -> Prediction:
        """Predicts an encoded image in one pass; its frame goes through the network tile by tile.

        The answer is that of ``predict`` in one pass but for rounding: tiles come with all the surroundings
        that the network looks at, and nothing that depends on a tile's edge is used.

        Args:
            image: PNG or JPEG.
            tile_px: side of a tile without its surroundings, in pixels of the working size.

        Raises:
            PredictionError: the model refuses the image.
        """
        try:
            prepared = self._signatures["prepare_images"](image_bytes=tf.constant([image]))
            class_ids, confidence = self._classify_tiles(prepared, tile_px)
            return Prediction(tf.io.encode_png(class_ids[..., np.newaxis]).numpy(), confidence)
        except tf.errors.OpError as error:
            raise _explain(error) from error

    def _frame_shape(self) -> tuple[int, int, int]:
        """Returns height and width of the working size, and the number of classes."""
        frames = self._signatures["prepare_images"].structured_outputs["frames"].shape
        logits = self._signatures["predict_tiles"].structured_outputs["logits"].shape
        return int(frames[1]), int(frames[2]), int(logits[3])

    def _pixel_bytes(self) -> int:
        """Returns how much memory the network needs for each pixel of a frame."""
        if "tile_pixel_bytes" in self._signatures["prepare_images"].structured_outputs:
            return int(self._prepare_none()["tile_pixel_bytes"])
        return _FEATURE_BYTES + _SCORE_BYTES * self._frame_shape()[2]

    def _prepare_none(self) -> Any:
        """Returns what ``prepare_images`` says of the network, whatever the images."""
        return self._signatures["prepare_images"](image_bytes=tf.constant([], tf.string))

    def _classify_tiles(self, prepared: Any, tile_px: int) -> tuple[NDArray[np.uint8], float]:
        frame = prepared["frames"]
        native, content = prepared["sizes_px"][0].numpy(), prepared["content_sizes_px"][0].numpy()
        step, reach = int(prepared["tile_step_px"]), int(prepared["tile_reach_px"])
        rows, columns = (
            cut_side(int(content[axis]), int(native[axis]), int(frame.shape[axis + 1]), tile_px, step, reach)
            for axis in (0, 1)
        )
        class_ids, total = np.zeros(native, np.uint8), 0.0
        for row in rows:
            for column in columns:
                pixels = frame[:, row.start : row.stop, column.start : column.stop]
                logits = self._signatures["predict_tiles"](tiles=pixels)["logits"][0]
                # What lies beyond the image was padding.
                logits = logits[: content[0] - row.start, : content[1] - column.start]
                total += _fill_window(class_ids, logits, row, column, native / content)
        return class_ids, total / class_ids.size


@dataclass(frozen=True)
class Span:
    """A tile along one axis.

    Attributes:
        start: its first pixel in the frame, surroundings included.
        stop: the pixel behind its last one, likewise.
        first: the first pixel of the image, at its own size, that this tile decides.
        end: the one behind the last.
    """

    start: int
    stop: int
    first: int
    end: int


def cut_side(content: int, native: int, frame: int, tile_px: int, step: int, reach: int) -> list[Span]:
    """Cuts one side of a frame into tiles that together decide each of the image's pixels once.

    Args:
        content: pixels of the frame's side that the image fills.
        native: pixels of the image's own side.
        frame: pixels of the frame's side.
        tile_px: of a tile without its surroundings; rounded up to a multiple of ``step``.
        step: tiles start at multiples of it.
        reach: how far around a pixel the network looks.
    """
    # Interpolating looks a pixel further, shrinking as far as one new pixel covers.
    around = _round_up(reach + math.ceil(max(1.0, content / native)) + 1, step)
    # Tiles that would all come with the whole side are one.
    side = content if around >= content else max(_round_up(tile_px, step), step)
    spans = []
    for start in range(0, content, side):
        end = min(start + side, content)
        stop = min(frame, _round_up(end, step) + around)
        first, behind = (_first_pixel(at, content, native) for at in (start, end))
        spans.append(Span(max(0, start - around), stop, first, behind))
    return [span for span in spans if span.first < span.end]


def _first_pixel(at: int, content: int, native: int) -> int:
    """Returns the first of an image's own pixels whose centre lies at pixel ``at`` of its frame or behind."""
    return -((content - 2 * at * native) // (2 * content))


def _fill_window(
    class_ids: NDArray[np.uint8], logits: Any, row: Span, column: Span, scale: NDArray[np.float64]
) -> float:
    """Writes the pixels that a tile decides, in bands of rows; returns the sum of their confidences."""
    width, total = column.end - column.first, 0.0
    band = max(1, BAND_SCORES // (width * logits.shape[-1]))
    for first in range(row.first, row.end, band):
        end = min(first + band, row.end)
        offset = [row.start * scale[0] - first, column.start * scale[1] - column.first]
        restored = resize_window(logits, scale, offset, [end - first, width])
        ids, probability = classify(restored)
        class_ids[first:end, column.first : column.end] = ids.numpy()
        total += float(tf.reduce_sum(probability))
    return total


def _round_up(value: int, step: int) -> int:
    return -(-value // step) * step


def _explain(error: Exception) -> PredictionError:
    """Returns the first line of what TensorFlow says, without the names of its operations."""
    if isinstance(error, tf.errors.ResourceExhaustedError):
        return PredictionError("needs more memory than there is")
    message = str(getattr(error, "message", error)).strip().splitlines()
    lines = [line for line in message if line and not line.startswith(("Graph execution", "Detected at"))]
    return PredictionError(lines[0][:300] if lines else type(error).__name__)
