"""Dice loss against the papers' formulas in numpy, scikit-learn's F1 score, and differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import f1_score

from trainer.losses.dice import sum_dice

VOID = 255
FORMS = [{}, {"squared": True}, {"generalized": True}, {"squared": True, "generalized": True}]


def expect_loss(probabilities: np.ndarray, masks: np.ndarray, squared: bool, generalized: bool) -> float:
    """The formulas, for labelled pixels in any arrangement."""
    common, sums, true = [], [], []
    for class_id in range(probabilities.shape[-1]):
        inside = inside_sum = count = 0.0
        for place in zip(*np.nonzero(masks != VOID), strict=True):
            p, g = probabilities[place][class_id], float(masks[place] == class_id)
            inside += p * g
            inside_sum += (p * p if squared else p) + g
            count += g
        if count:
            common, sums, true = [*common, inside], [*sums, inside_sum], [*true, count]
    if not true:
        return 0.0
    if generalized:
        weights = [1 / count**2 for count in true]
        return 1 - 2 * np.dot(weights, common) / np.dot(weights, sums)
    return float(np.mean([1 - 2 * a / b for a, b in zip(common, sums, strict=True)]))


@pytest.mark.parametrize("form", FORMS)
def test_agrees_with_the_formula_over_the_batch(batch, form: dict) -> None:
    options = {"squared": False, "generalized": False, **form}
    expected = expect_loss(batch.probabilities, batch.masks, **options)
    # Three images stand for the batch.
    assert float(sum_dice(batch.logits, batch.masks, VOID, **form)) == pytest.approx(3 * expected, rel=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_agrees_with_the_formula_for_each_image(batch, form: dict) -> None:
    options = {"squared": False, "generalized": False, **form}
    pairs = zip(batch.probabilities, batch.masks, strict=True)
    expected = sum(expect_loss(probabilities, mask, **options) for probabilities, mask in pairs)
    loss = sum_dice(batch.logits, batch.masks, VOID, per_image=True, **form)
    assert float(loss) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("squared", [False, True])
def test_of_certain_predictions_it_is_one_minus_the_f1_score(batch, squared: bool) -> None:
    predicted = batch.logits.argmax(axis=-1)
    logits = 1000.0 * np.eye(4)[predicted]
    labelled = batch.masks != VOID
    score = f1_score(batch.masks[labelled], predicted[labelled], labels=[0, 1, 2], average="macro")
    assert 0.1 < score < 0.9
    assert float(sum_dice(logits, batch.masks, VOID, squared=squared)) == pytest.approx(3 * (1 - score))


def test_one_class_worked_out_by_hand() -> None:
    # Both pixels are class 1, predicted with 1/2: 2 * 1 / (1 + 2), squared 2 * 1 / (1/2 + 2).
    logits, masks = tf.zeros((1, 1, 2, 2)), tf.ones((1, 1, 2), tf.uint8)
    assert float(sum_dice(logits, masks, VOID)) == pytest.approx(1 / 3)
    assert float(sum_dice(logits, masks, VOID, squared=True)) == pytest.approx(0.2)


@pytest.mark.parametrize(("form", "per_image"), zip(FORMS, [False, True, False, True], strict=True))
def test_gradient_is_that_of_differences(
    batch, check_gradient: Callable, form: dict, per_image: bool
) -> None:
    check_gradient(
        lambda logits: sum_dice(logits, batch.masks, VOID, per_image=per_image, **form), batch.logits
    )
