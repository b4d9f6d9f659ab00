"""Confusion in shares, against matrices small enough to work out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.history.compare_scores import MAX_PAIRS, compare_confusion, normalise_rows
from pipeline.history.run_documents import EvaluationDocument, SplitMetrics, SplitResult


def _evaluation(matrix, names, split="test", **fields):
    result = SplitResult(
        split=split,
        num_images=1,
        metrics=SplitMetrics(),
        confusion_matrix=tuple(map(tuple, matrix)),
        **fields,
    )
    return EvaluationDocument(
        class_names=tuple(names),
        results=(result,),
        gates=(),
        baseline_uri=None,
        model_fingerprint=None,
        notes=(),
    )


def test_rows_are_divided_by_their_sums_and_empty_ones_are_undefined():
    shares = normalise_rows(np.array([[3, 1], [0, 0]], np.int64))
    assert shares[0].tolist() == [0.75, 0.25]
    assert np.isnan(shares[1]).all()


def test_largest_change_first_whatever_its_sign():
    before = _evaluation([[8, 2, 0], [1, 9, 0], [0, 5, 5]], "abc")
    after = _evaluation([[9, 1, 0], [1, 8, 1], [0, 1, 9]], "abc")
    found = [(c.truth, c.predicted, round(c.change, 9)) for c in compare_confusion(before, after, "run")]
    assert found == [("c", "b", -0.4), ("a", "b", -0.1), ("b", "c", 0.1)]


def test_classes_are_told_by_name_and_those_of_one_run_only_are_left_out():
    before = _evaluation([[8, 2], [5, 5]], ["road", "car"])
    after = _evaluation([[10, 0, 0], [3, 6, 1], [2, 1, 7]], ["car", "road", "tree"])
    found = {(c.truth, c.predicted): (c.before, c.after) for c in compare_confusion(before, after, "run")}
    assert found == {("road", "car"): (0.2, 0.3), ("car", "road"): (0.5, 0.0)}


def test_a_class_without_pixels_in_either_run_says_nothing():
    before = _evaluation([[1, 1], [0, 0]], "ab")
    after = _evaluation([[1, 1], [3, 1]], "ab")
    assert compare_confusion(before, after, "run") == ()


@pytest.mark.parametrize("other", [{"split": "val"}, {"features": {"site": "north"}}])
def test_only_whole_splits_that_both_evaluated_are_compared(other):
    before, after = _evaluation([[8, 2], [5, 5]], "ab"), _evaluation([[1, 9], [5, 5]], "ab", **other)
    assert compare_confusion(before, after, "run") == ()


def test_no_more_pairs_than_a_reader_wants():
    size = 5
    before = np.full((size, size), 10) + np.diag([100] * size)
    after = before + np.arange(size * size).reshape(size, size)
    names = "abcde"
    found = compare_confusion(_evaluation(before.tolist(), names), _evaluation(after.tolist(), names), "run")
    assert len(found) == MAX_PAIRS
    sizes = [abs(change.change) for change in found]
    assert sizes == sorted(sizes, reverse=True)
