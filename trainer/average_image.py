"""One image by flips, scales and windows: averaged probabilities, and what they say of each pixel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from trainer.average_variants import InferenceSettings, average_variants
from trainer.classify import classify
from trainer.finish_logits import classify_at_size
from trainer.sliding_window import slide_windows
from trainer.working_frames import WorkingFrames

_LEAST_PROBABILITY = 1e-37
"""Its logarithm is a number still."""


def average_image(
    predict: Callable[[Any], Any],
    frames: WorkingFrames,
    image: Any,
    settings: InferenceSettings,
    num_classes: int,
) -> tuple[Any, Any]:
    """Returns class ids uint8 [height, width] and their probabilities float32, at the image's own size.

    Args:
        predict: of images float32 [1, height, width, 3] to logits float32 [1, height, width, classes].
        frames: of the working size.
        image: float32 [height, width, 3].
        settings: flips, scales and windows.
        num_classes: of the logits.
    """
    size = tf.shape(image)[:2]

    def slide(pixels: Any, finish: Callable[[Any], Any]) -> Any:
        return slide_windows(
            lambda piece: average_variants(predict, piece, settings.variants, num_classes),
            pixels,
            settings.window_px,
            settings.window_overlap,
            settings.window_is_gaussian,
            num_classes,
            finish,
        )

    def classify_own_size() -> tuple[Any, Any]:
        class_ids, probability = slide(image, lambda band: classify(_to_logits(band)))
        return class_ids, probability

    def classify_frame() -> tuple[Any, Any]:
        (logits,) = slide(frames.letterbox(image), lambda band: [_to_logits(band)])
        shape = [frames.height_px, frames.width_px, num_classes]
        return classify_at_size(tf.ensure_shape(logits, shape), size)

    would_shrink = tf.reduce_any(size > [frames.height_px, frames.width_px])
    return tf.cond(settings.window_is_native & would_shrink, classify_own_size, classify_frame)


def _to_logits(probabilities: Any) -> Any:
    """Returns logits whose softmax these probabilities are."""
    return tf.math.log(tf.maximum(probabilities, _LEAST_PROBABILITY))
