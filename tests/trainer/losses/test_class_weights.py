"""Class weights against values worked out by hand, and scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from trainer.losses.class_weights import compute_class_weights


def test_median_frequency_worked_out_by_hand() -> None:
    # Frequencies 600/1000, 100/1000, 40/400 -> 0.6, 0.1, 0.1; class 3 never occurs.
    weights = compute_class_weights(
        "median_frequency", np.array([600, 100, 40, 0]), np.array([1000, 1000, 400, 0])
    )
    assert weights == pytest.approx([0.1 / 0.6, 1, 1, 1])


def test_inverse_sqrt_worked_out_by_hand() -> None:
    # Shares 0.64 and 0.36: 1/0.8 and 1/0.6, scaled so that 0.64 a + 0.36 b = 1.
    weights = compute_class_weights("inverse_sqrt", np.array([64, 36, 0]), np.array([100, 100, 0]))
    assert weights == pytest.approx([1 / 0.8 / 1.4, 1 / 0.6 / 1.4, 1])
    assert 0.64 * weights[0] + 0.36 * weights[1] == pytest.approx(1)


def test_inverse_worked_out_by_hand_and_as_scikit_learn_balances() -> None:
    pixels = np.array([80, 15, 5, 0])
    weights = compute_class_weights("inverse", pixels, pixels)
    # Shares 0.8, 0.15, 0.05: each class' pixels weigh a third of all of them together.
    assert weights == pytest.approx([1 / 2.4, 1 / 0.45, 1 / 0.15, 1])
    labels = np.repeat([0, 1, 2], pixels[:3])
    balanced = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert weights[:3] == pytest.approx(balanced)
    assert weights[labels].mean() == pytest.approx(1)


def test_no_weighting_and_no_pixels_give_ones() -> None:
    assert compute_class_weights("none", np.array([5, 1]), np.array([6, 6])).tolist() == [1, 1]
    for weighting in ("median_frequency", "inverse", "inverse_sqrt"):
        assert compute_class_weights(weighting, np.zeros(2), np.zeros(2)).tolist() == [1, 1]


def test_unknown_weighting_is_refused() -> None:
    with pytest.raises(ValueError, match="no such class weighting: sqrt"):
        compute_class_weights("sqrt", np.ones(2), np.ones(2))  # type: ignore[arg-type]
