"""Lovász-softmax against its definition over sets, scikit-learn's Jaccard score, and differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import jaccard_score

from trainer.losses.lovasz_softmax import find_class_slopes, sum_lovasz_softmax

VOID = 255


def jaccard_loss(wrong: set[int], true: set[int]) -> float:
    """The set function: the class' Jaccard loss where exactly these pixels are wrong."""
    predicted = true ^ wrong
    return 1 - len(true & predicted) / len(true | predicted) if true | predicted else 0.0


def extend(errors: list[float], true: set[int]) -> float:
    """The Lovász extension of the set function, by its definition."""
    order = sorted(range(len(errors)), key=lambda index: -errors[index])
    total = 0.0
    for rank, index in enumerate(order):
        before, after = set(order[:rank]), set(order[: rank + 1])
        total += errors[index] * (jaccard_loss(after, true) - jaccard_loss(before, true))
    return total


def expect_image_loss(probabilities: np.ndarray, mask: np.ndarray) -> float:
    labelled = mask != VOID
    labels, rows = mask[labelled], probabilities[labelled]
    losses = []
    for class_id in set(labels.tolist()):
        errors = [1 - p if true else p for p, true in zip(rows[:, class_id], labels == class_id, strict=True)]
        losses.append(extend(errors, set(np.flatnonzero(labels == class_id).tolist())))
    return float(np.mean(losses)) if losses else 0.0


def test_agrees_with_the_definition(batch) -> None:
    pairs = zip(batch.probabilities, batch.masks, strict=True)
    expected = sum(expect_image_loss(probabilities, mask) for probabilities, mask in pairs)
    assert float(sum_lovasz_softmax(batch.logits, batch.masks, VOID)) == pytest.approx(expected, rel=1e-12)


def test_of_certain_predictions_it_is_one_minus_the_mean_iou(batch) -> None:
    """A convex closure meets its set function where all errors are 0 or 1."""
    predicted = batch.logits.argmax(axis=-1)
    expected = 0.0
    for mask, ids in zip(batch.masks[:2], predicted[:2], strict=True):
        labelled, present = mask != VOID, sorted(set(mask.ravel()) - {VOID})
        expected += 1 - jaccard_score(mask[labelled], ids[labelled], labels=present, average="macro")
    loss = sum_lovasz_softmax(1000.0 * np.eye(4)[predicted], batch.masks, VOID)
    assert float(loss) == pytest.approx(expected, rel=1e-12)


def test_two_pixels_worked_out_by_hand() -> None:
    # p of class 0 is 1/4 and 3/4, and it is true at the first pixel: errors 3/4 and 3/4. Either one wrong
    # makes IoU 0 or 1/2, both together 0: whatever comes first, 3/4 * 1.
    logits = tf.math.log(tf.constant([[[[0.25, 0.75], [0.75, 0.25]]]]))
    assert float(sum_lovasz_softmax(logits, tf.constant([[[0, 1]]]), VOID)) == pytest.approx(0.75)


def test_slopes_keep_their_digits_in_many_pixels() -> None:
    """The last of a quarter million pixels adds 1 over their number; float32 differences of J would not."""
    count = 250_000
    errors = np.linspace(1.0, 0.5, count, dtype=np.float32)[np.newaxis]
    truth = np.ones((1, count), bool)
    slopes = find_class_slopes(tf.constant(errors), tf.constant(truth), tf.constant(truth)).numpy()
    np.testing.assert_allclose(slopes, 1 / count, rtol=1e-6)


def test_gradient_is_that_of_differences(batch, check_gradient: Callable) -> None:
    check_gradient(lambda logits: sum_lovasz_softmax(logits, batch.masks, VOID), batch.logits)
