"""Pictures of a few validation images while a network is trained: image, truth, prediction together."""

from __future__ import annotations

import time
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from data.classes import ClassTable
from trainer.history import EventWriter

Pixels = NDArray[np.uint8]

_PICTURES = 3
_LONGEST_SIDE_PX = 320
_TIMES = 10
"""Pictures are made at the first validation, after each tenth of the training, and at its end."""
_SHARE_OF_TIME = 0.01
_GAP_PX = 4
_STRIPE_PX = 4
_STRIPES: Pixels = np.array([[32, 32, 32], [128, 128, 128]], np.uint8)
_SWATCH_PX = 18

DESCRIPTION = "Image, truth and prediction. Void is striped. The colours are in val_images/classes."


class PictureWriter:
    """Writes pictures of the same validation images now and then, for 1 % of the time.

    The first and the last are always written, however short the training.

    Args:
        events: where to.
        validation_set: batches of ``image`` float32 [batch, height, width, 3], 0 to 255, and ``mask`` uint8
            [batch, height, width].
        classes: their colours.
    """

    def __init__(self, events: EventWriter, validation_set: Any, classes: ClassTable) -> None:
        self._events, self._validation_set, self._classes = events, validation_set, classes
        self._scenes: list[tuple[Any, Pixels]] | None = None
        self._tenths_done, self._seconds, self._last_seconds = -1, 0.0, 0.0

    def write(self, network: keras.Model, step: int, progress: float, elapsed_seconds: float) -> None:
        """Writes the pictures if it is time for them.

        Args:
            network: images to logits; called outside of compiled functions, which needs no tracing.
            step: steps done.
            progress: share of the training that is done; always written at 1.
            elapsed_seconds: of the training.
        """
        tenths = int(progress * _TIMES)
        expected = self._seconds + self._last_seconds
        is_over_budget = expected > _SHARE_OF_TIME * elapsed_seconds and tenths < _TIMES
        if tenths <= self._tenths_done or is_over_budget:
            return
        started = time.monotonic()
        pictures = {}
        if self._scenes is None:
            self._scenes = choose_scenes(self._validation_set, self._classes.ignore_id)
            pictures["val_images/classes"] = draw_legend(self._classes)
        for number, (image, truth) in enumerate(self._scenes, start=1):
            logits = np.asarray(network(image[np.newaxis], training=False))[0]
            prediction = logits.argmax(axis=-1).astype(np.uint8)
            pictures[f"val_images/{number}"] = draw_scene(image, truth, prediction, self._classes)
        self._events.write_images(pictures, step, DESCRIPTION)
        self._tenths_done = tenths
        self._last_seconds = time.monotonic() - started
        self._seconds += self._last_seconds


def choose_scenes(validation_set: Any, ignore_id: int) -> list[tuple[Any, Pixels]]:
    """Returns images and masks of the first batch, those with most classes; none that is all void."""
    for batch in validation_set:
        images, masks = np.asarray(batch["image"]), np.asarray(batch["mask"])
        labelled = [len(set(np.unique(mask)) - {ignore_id}) for mask in masks]
        order = sorted(range(len(masks)), key=lambda index: (-labelled[index], index))
        return [(images[index], masks[index]) for index in sorted(order[:_PICTURES]) if labelled[index]]
    return []


def draw_scene(image: Any, truth: Pixels, prediction: Pixels, classes: ClassTable) -> Pixels:
    """Draws an image with its truth and its prediction, both blended with it in the classes' colours.

    One below the other, tall images side by side: TensorBoard fits pictures into a column.

    Args:
        image: [height, width, 3], 0 to 255.
        truth: [height, width] of class ids; void is striped.
        prediction: likewise.
        classes: their colours.

    Returns:
        [three heights and two gaps, width, 3], or of a tall image [height, three widths and two gaps, 3];
        each part scaled down to a side of 320 pixels at most.
    """
    height, width = truth.shape
    scale = min(1.0, _LONGEST_SIDE_PX / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    photo = Image.fromarray(np.clip(np.round(image), 0, 255).astype(np.uint8))
    photo = photo.resize(size, Image.Resampling.BOX if scale < 1 else Image.Resampling.NEAREST)
    pixels = np.asarray(photo)
    parts = [pixels]
    for ids in (truth, prediction):
        small = np.asarray(Image.fromarray(ids).resize(size, Image.Resampling.NEAREST))
        colours = classes.palette()[small]
        blended = (pixels.astype(np.uint16) + colours) // 2
        is_void = (small == classes.ignore_id)[..., np.newaxis]
        parts.append(np.where(is_void, _stripes(*small.shape), blended).astype(np.uint8))
    is_tall = height > width
    gap = np.full((size[1], _GAP_PX, 3) if is_tall else (_GAP_PX, size[0], 3), 255, np.uint8)
    return np.concatenate([parts[0], gap, parts[1], gap, parts[2]], axis=int(is_tall))


def draw_legend(classes: ClassTable) -> Pixels:
    """Draws the classes' colours with their names, and void's stripes: [height, width, 3]."""
    rows = [(entry.name, np.array(entry.colour, np.uint8)) for entry in classes.classes]
    swatch = _SWATCH_PX
    longest = max(len(name) for name, _ in [*rows, ("void", None)])
    width = max(_LONGEST_SIDE_PX, swatch * 2 + 12 * longest)
    legend = Image.new("RGB", (width, (swatch + 6) * (len(rows) + 1) + 6), "white")
    draw = ImageDraw.Draw(legend)
    for number, (name, colour) in enumerate([*rows, ("void", None)]):
        top = 6 + number * (swatch + 6)
        filled = _stripes(swatch, swatch) if colour is None else np.broadcast_to(colour, (swatch, swatch, 3))
        legend.paste(Image.fromarray(np.ascontiguousarray(filled)), (6, top))
        draw.text((swatch + 14, top), name, fill="black", font_size=14)
    return np.asarray(legend)


def _stripes(height: int, width: int) -> Pixels:
    rows, columns = np.indices((height, width))
    return _STRIPES[(rows + columns) // _STRIPE_PX % 2]
