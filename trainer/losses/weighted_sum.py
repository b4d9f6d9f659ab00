"""The loss that is trained on: the sum of the configured losses, each times its weight."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import tensorflow as tf

from trainer.config import TrainerConfig
from trainer.distribution import sum_over_replicas
from trainer.loss_config import (
    CrossEntropyConfig,
    DiceConfig,
    FocalConfig,
    HardPixelsConfig,
    LovaszSoftmaxConfig,
)
from trainer.losses.cross_entropy import sum_cross_entropy
from trainer.losses.dice import sum_dice
from trainer.losses.focal import sum_focal
from trainer.losses.hard_pixels import sum_hard_pixels
from trainer.losses.lovasz_softmax import sum_lovasz_softmax
from trainer.losses.pixels import count_images, count_labelled_images, sum_pixel_weights


@dataclass(frozen=True)
class LossTerm:
    """One of the losses.

    Attributes:
        weight: its factor.
        add_up: from logits and masks to the sum that this device has of it.
        weigh: from masks to what this device's sum is a sum over. The loss is the quotient of the sums
            over all devices.
    """

    weight: float
    add_up: Callable[[Any, Any], Any]
    weigh: Callable[[Any], Any]


@dataclass(frozen=True)
class _Pixels:
    """What losses over pixels share."""

    class_weights: Any
    ignore_id: int
    label_smoothing: float

    def weigh(self) -> Callable[[Any], Any]:
        return partial(sum_pixel_weights, class_weights=self.class_weights, ignore_id=self.ignore_id)

    def count(self) -> Callable[[Any], Any]:
        return partial(count_labelled_images, ignore_id=self.ignore_id)


def make_loss_terms(config: TrainerConfig, class_weights: Any, ignore_id: int) -> tuple[LossTerm, ...]:
    """Makes the configured losses.

    Args:
        config: ``losses`` and ``label_smoothing``.
        class_weights: float32 [classes].
        ignore_id: the id of void.
    """
    pixels = _Pixels(class_weights, ignore_id, config.label_smoothing)
    return tuple(_BUILDERS[type(loss)](loss, pixels) for loss in config.losses)


def weigh_batch(terms: Sequence[LossTerm], masks: Any) -> Any:
    """Returns what each loss is divided by, over all devices: float32 [losses]. Call in replica context.

    Args:
        terms: of ``make_loss_terms``.
        masks: integer [batch, height, width], all that this device has of the batch.
    """
    return sum_over_replicas(tf.stack([term.weigh(masks) for term in terms]))


def sum_losses(terms: Sequence[LossTerm], logits: Any, masks: Any, totals: Any) -> Any:
    """Returns this device's part of the loss of the global batch: a float32 scalar.

    The parts of all devices, and of all parts of a batch, add up to the loss. Call in replica context.

    Args:
        terms: of ``make_loss_terms``.
        logits: float32 [batch, height, width, classes].
        masks: integer [batch, height, width].
        totals: of ``weigh_batch``.
    """
    parts = [
        term.weight * tf.math.divide_no_nan(term.add_up(logits, masks), totals[index])
        for index, term in enumerate(terms)
    ]
    return tf.add_n(parts) if len(parts) > 1 else parts[0]


def _build_cross_entropy(loss: CrossEntropyConfig, pixels: _Pixels) -> LossTerm:
    add_up = partial(
        sum_cross_entropy,
        class_weights=pixels.class_weights,
        ignore_id=pixels.ignore_id,
        label_smoothing=pixels.label_smoothing,
    )
    return LossTerm(loss.weight, add_up, pixels.weigh())


def _build_focal(loss: FocalConfig, pixels: _Pixels) -> LossTerm:
    add_up = partial(
        sum_focal, class_weights=pixels.class_weights, ignore_id=pixels.ignore_id, gamma=loss.gamma
    )
    return LossTerm(loss.weight, add_up, pixels.weigh())


def _build_hard_pixels(loss: HardPixelsConfig, pixels: _Pixels) -> LossTerm:
    add_up = partial(
        sum_hard_pixels,
        class_weights=pixels.class_weights,
        ignore_id=pixels.ignore_id,
        share=loss.share,
        min_probability=loss.min_probability,
        label_smoothing=pixels.label_smoothing,
    )
    return LossTerm(loss.weight, add_up, pixels.count())


def _build_dice(loss: DiceConfig, pixels: _Pixels) -> LossTerm:
    add_up = partial(
        sum_dice,
        ignore_id=pixels.ignore_id,
        per_image=loss.per_image,
        squared=loss.squared,
        generalized=loss.generalized,
    )
    return LossTerm(loss.weight, add_up, pixels.count() if loss.per_image else count_images)


def _build_lovasz_softmax(loss: LovaszSoftmaxConfig, pixels: _Pixels) -> LossTerm:
    return LossTerm(loss.weight, partial(sum_lovasz_softmax, ignore_id=pixels.ignore_id), pixels.count())


_BUILDERS: dict[type, Callable[[Any, _Pixels], LossTerm]] = {
    CrossEntropyConfig: _build_cross_entropy,
    FocalConfig: _build_focal,
    HardPixelsConfig: _build_hard_pixels,
    DiceConfig: _build_dice,
    LovaszSoftmaxConfig: _build_lovasz_softmax,
}
