"""Which pixels are hard, and their cross entropy, against loops in numpy and against differences."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from trainer.losses.hard_pixels import find_hard_pixels, sum_hard_pixels

VOID = 255


def expect_hard(probabilities: list[float], share: float, limit: float | None) -> set[int]:
    """The definition, for one image without ties: places of its hard pixels."""
    count = math.ceil(share * len(probabilities) - 1e-9)
    order = sorted(range(len(probabilities)), key=lambda index: probabilities[index])
    below = {index for index, value in enumerate(probabilities) if limit is not None and value < limit}
    return set(order[:count]) | below


@pytest.mark.parametrize(("share", "limit"), [(0.3, None), (0.01, 0.5), (0.3, 0.2), (1.0, None)])
def test_agrees_with_the_definition(batch, share: float, limit: float | None) -> None:
    expected = 0.0
    for probabilities, mask in zip(batch.probabilities, batch.masks, strict=True):
        places = list(zip(*np.nonzero(mask != VOID), strict=True))
        hard = expect_hard([probabilities[place][mask[place]] for place in places], share, limit)
        weights = [batch.class_weights[mask[places[index]]] for index in hard]
        losses = []
        for index in hard:
            target = 0.9 * np.eye(4)[mask[places[index]]] + 0.1 / 4
            losses.append(-(target * np.log(probabilities[places[index]])).sum())
        expected += np.average(losses, weights=weights) if hard else 0.0
    loss = sum_hard_pixels(
        batch.logits, batch.masks, batch.class_weights, VOID, share, limit, label_smoothing=0.1
    )
    assert float(loss) == pytest.approx(expected, rel=1e-12)


def find(hardness: list[float], labelled: list[bool], share: float, limit: float | None = None) -> list[int]:
    arguments = tf.constant([[hardness]]), tf.constant([[labelled]])
    return np.flatnonzero(find_hard_pixels(*arguments, share, limit).numpy()).tolist()


def test_hardest_share_of_the_labelled_pixels() -> None:
    hardness = [0.1, 0.9, 0.5, 7.0, 0.3]
    labelled = [True, True, True, False, True]
    assert find(hardness, labelled, 0.5) == [1, 2]
    # A share of a pixel is a whole one.
    assert find(hardness, labelled, 0.51) == [1, 2, 4]
    assert find(hardness, labelled, 1e-6) == [1]
    assert find(hardness, [False] * 5, 0.5) == []


def test_share_of_a_hundred_pixels_is_not_rounded_up() -> None:
    # 0.07 * 100 is 7.000000000000001.
    assert find(list(np.linspace(1, 2, 100)), [True] * 100, 0.07) == list(range(93, 100))


def test_pixels_level_with_the_last_are_hard_too() -> None:
    assert find([0.5, 0.2, 0.5, 0.5], [True] * 4, 0.25) == [0, 2, 3]


def test_all_pixels_below_a_probability_are_hard() -> None:
    # Probabilities 0.5, 0.5, 0.8 and 0.2.
    hardness = [-math.log(p) for p in (0.5, 0.5, 0.8, 0.2)]
    assert find(hardness, [True] * 4, 0.25, 0.6) == [0, 1, 3]
    assert find(hardness, [True] * 4, 0.25, 0.3) == [3]
    assert find(hardness, [True, True, True, False], 0.25, 0.9) == [0, 1, 2]


def test_gradient_is_that_of_differences(batch, check_gradient: Callable) -> None:
    check_gradient(
        lambda logits: sum_hard_pixels(logits, batch.masks, batch.class_weights, VOID, 0.4, 0.2, 0.1),
        batch.logits,
    )
