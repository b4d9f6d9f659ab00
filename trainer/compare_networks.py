"""Holds a converted network against the one that it was made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Predict = Callable[[NDArray[np.float32]], NDArray[np.float32]]

LEAST_AGREEMENT = 0.999
"""Pixels at which two classes score alike may fall to either."""


@dataclass(frozen=True)
class Agreement:
    """How far two networks agree.

    Attributes:
        images: so many were compared.
        pixels: of all of them.
        class_agreement: the share of pixels that both give the same class.
        largest_logit: absolute, of the reference.
        largest_difference: between two logits.
    """

    images: int
    pixels: int
    class_agreement: float
    largest_logit: float
    largest_difference: float


def compare_networks(
    reference: Predict, candidate: Predict, frames: Iterable[NDArray[np.float32]]
) -> Agreement:
    """Sends the same frames through both.

    Args:
        reference: of frames float32 [1, height, width, 3] to logits float32 [1, height, width, classes].
        candidate: likewise.
        frames: at least one.

    Raises:
        ValueError: the candidate's logits have another shape, or there are no frames.
    """
    images, pixels, same = 0, 0, 0
    largest_logit = largest_difference = np.float32(0)
    for frame in frames:
        expected, found = reference(frame), candidate(frame)
        if found.shape != expected.shape:
            raise ValueError(f"its logits are {list(found.shape)} where {list(expected.shape)} are right")
        images, pixels = images + len(frame), pixels + expected[..., 0].size
        same += int((expected.argmax(axis=-1) == found.argmax(axis=-1)).sum())
        # Both hand nan on.
        largest_logit = np.maximum(largest_logit, np.abs(expected).max())
        largest_difference = np.maximum(largest_difference, np.abs(expected - found).max())
    if not images:
        raise ValueError("there are no images to compare it on")
    return Agreement(images, pixels, same / pixels, float(largest_logit), float(largest_difference))


def find_disagreement(agreement: Agreement, tolerance: float) -> str | None:
    """Says what is wrong, as the rest of a sentence; None if nothing is.

    Args:
        agreement: what was found.
        tolerance: of logits, as a share of the largest one, or of 1 where all are smaller.
    """
    if not agreement.class_agreement >= LEAST_AGREEMENT:
        share = f"{agreement.class_agreement:.2%} of the pixels of {agreement.images} images"
        return f"gives only {share} the SavedModel's class, and {LEAST_AGREEMENT:.1%} are asked for"
    allowed = tolerance * max(1.0, agreement.largest_logit)
    # Written so that nan is found.
    if not agreement.largest_difference <= allowed:
        found = f"{agreement.largest_difference:.3g}"
        return f"differs from the SavedModel's logits by up to {found}, and {allowed:.3g} is allowed"
    return None
