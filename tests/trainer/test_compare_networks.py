"""Two networks against each other, on logits small enough to compare by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from trainer.compare_networks import Agreement, compare_networks, find_disagreement

FRAMES = [np.zeros((1, 2, 2, 3), np.float32), np.ones((1, 2, 2, 3), np.float32)]


def reference(frame: NDArray[np.float32]) -> NDArray[np.float32]:
    """Class 1 everywhere, by 5 to -2 and, in the second frame, by 6 to -8."""
    logits = [-2.0, 5.0] if frame.max() == 0 else [-8.0, 6.0]
    return np.broadcast_to(np.array(logits, np.float32), (1, 2, 2, 2)).copy()


def test_pixels_and_logits_are_compared_over_all_images() -> None:
    def candidate(frame: NDArray[np.float32]) -> NDArray[np.float32]:
        logits = reference(frame)
        if frame.max():
            logits[0, 1, 0, 0] = 6.5
        return logits

    found = compare_networks(reference, candidate, FRAMES)
    assert found == Agreement(2, 8, 7 / 8, 8.0, 14.5)
    assert "only 87.50% of the pixels of 2 images" in str(find_disagreement(found, 1e-3))


@pytest.mark.parametrize(
    ("agreement", "tolerance", "says"),
    [
        (Agreement(1, 1000, 0.999, 8.0, 0.0079), 1e-3, None),
        (Agreement(1, 1000, 0.998, 8.0, 0.0), 1e-3, "only 99.80%"),
        (Agreement(1, 1000, 1.0, 8.0, 0.0081), 1e-3, "up to 0.0081, and 0.008 is allowed"),
        (Agreement(1, 1000, 1.0, 0.1, 0.0009), 1e-3, None),
        (Agreement(1, 1000, 1.0, 8.0, float("nan")), 1e-3, "up to nan"),
    ],
)
def test_a_disagreement_is_said(agreement: Agreement, tolerance: float, says: str | None) -> None:
    found = find_disagreement(agreement, tolerance)
    assert found is None if says is None else says in str(found)


def test_what_is_no_number_is_never_passed_over() -> None:
    def candidate(frame: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.where(frame.max() == 0, np.float32("nan"), reference(frame))

    found = compare_networks(reference, candidate, FRAMES)
    assert np.isnan(found.largest_difference)


def test_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[1, 2, 2, 1\] where \[1, 2, 2, 2\]"):
        compare_networks(reference, lambda frame: reference(frame)[..., :1], FRAMES)
    with pytest.raises(ValueError, match="no images"):
        compare_networks(reference, reference, [])
