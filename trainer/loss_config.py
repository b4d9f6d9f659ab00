"""Configuration of the losses, one model each. Imports no TensorFlow.

The formulas stand in the modules of ``trainer.losses``. All leave void pixels out and are 0, with gradient 0,
where nothing is labelled.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from data.config import FrozenModel


class _Loss(FrozenModel):
    weight: float = Field(1.0, gt=0)
    """Factor in the sum of all losses."""


class CrossEntropyConfig(_Loss):
    """Cross entropy, the mean over all labelled pixels."""

    name: Literal["cross_entropy"] = "cross_entropy"


class FocalConfig(_Loss):
    """Cross entropy that pixels lose weight in as they are learned (Lin et al., ICCV 2017)."""

    name: Literal["focal"] = "focal"
    gamma: float = Field(2.0, ge=0, le=10)
    """How fast they lose it; 0 is cross entropy."""


class HardPixelsConfig(_Loss):
    """Cross entropy of the hardest pixels of each image (Shrivastava et al., CVPR 2016)."""

    name: Literal["hard_pixels"] = "hard_pixels"
    share: float = Field(0.25, gt=0, le=1)
    """At least this share of an image's labelled pixels counts, the hardest first."""
    min_probability: float | None = Field(0.7, gt=0, le=1)
    """Pixels whose true class has less than this probability count in any case; None for none."""


class DiceConfig(_Loss):
    """Soft Dice loss of several classes (Milletari et al., 3DV 2016; Sudre et al., DLMIA 2017)."""

    name: Literal["dice"] = "dice"
    per_image: bool = False
    """Sums of pixels are an image's own; else those of the batch over all devices."""
    squared: bool = False
    """Probabilities are squared in the denominator, as Milletari et al. have it."""
    generalized: bool = False
    """Classes weigh by the inverse square of their pixels, as Sudre et al. have it; else all the same."""


class LovaszSoftmaxConfig(_Loss):
    """Lovász-softmax, a surrogate of the mean IoU of each image (Berman et al., CVPR 2018)."""

    name: Literal["lovasz_softmax"] = "lovasz_softmax"


LossConfig = Annotated[
    CrossEntropyConfig | FocalConfig | HardPixelsConfig | DiceConfig | LovaszSoftmaxConfig,
    Field(discriminator="name"),
]

SMOOTHED_LOSSES = ("cross_entropy", "hard_pixels")
"""Names of the losses that ``trainer.label_smoothing`` applies to."""
PIXEL_LOSSES = (*SMOOTHED_LOSSES, "focal")
"""Names of the losses that ``trainer.class_weighting`` applies to: means over pixels."""
