"""Metrics of several runs side by side, and the pairs of classes whose confusion changed most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from pipeline.history.comparison_documents import ConfusionChange, MetricComparison
from pipeline.history.find_runs import read_metric
from pipeline.history.run_documents import EvaluationDocument
from pipeline.tracking import RunRecord
from trainer.confusion_matrix import SUMMARY_METRICS, class_iou_key

MAX_PAIRS = 5
"""Pairs that are named for each run and split."""

_SPLIT_ORDER = ("train", "val", "test")


def compare_metrics(runs: Sequence[RunRecord]) -> tuple[MetricComparison, ...]:
    """Returns every metric of every split that any of the runs was evaluated on."""
    splits = {split for run in runs for split in run.metrics}
    order = sorted(splits, key=lambda split: (split not in _SPLIT_ORDER, _position(split), split))
    return tuple(
        _compare_metric(runs, split, name)
        for split in order
        for name in (*SUMMARY_METRICS, *map(class_iou_key, _list_classes(runs, split)))
    )


def compare_confusion(
    before: EvaluationDocument, after: EvaluationDocument, run_id: str
) -> tuple[ConfusionChange, ...]:
    """Returns the pairs of classes whose confusion changed most, for each split that both evaluated.

    A pair's confusion is the share of the pixels of ``truth`` that were taken for ``predicted``: an
    element of the confusion matrix divided by its row's sum. Classes are told by name; those that are
    not in both, or have no pixels in either, are left out.

    Args:
        before: of the reference.
        after: of the run.
        run_id: of the run.
    """
    changes: list[ConfusionChange] = []
    shares_before, shares_after = _read_shares(before), _read_shares(after)
    for split in shares_before.keys() & shares_after.keys():
        old, new = shares_before[split], shares_after[split]
        pairs = list(_compare_shares(old, new, before.class_names, after.class_names, run_id, split))
        changes += sorted(pairs, key=lambda pair: (-abs(pair.change), pair.truth, pair.predicted))[:MAX_PAIRS]
    return tuple(sorted(changes, key=lambda pair: (_position(pair.split), pair.split)))


def normalise_rows(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Divides each row by its sum; nan where the row is empty. [classes, classes] to the same shape."""
    sums = matrix.sum(axis=1, keepdims=True).astype(np.float64)
    return np.divide(matrix, sums, out=np.full(matrix.shape, np.nan), where=sums > 0)


def _compare_metric(runs: Sequence[RunRecord], split: str, name: str) -> MetricComparison:
    values = {run.run_id: read_metric(run, name, split) for run in runs}
    first, *others = values.values()
    differences = {
        run.run_id: None if first is None or value is None else value - first
        for run, value in zip(runs[1:], others, strict=True)
    }
    return MetricComparison(split=split, metric=name, values=values, differences=differences)


def _list_classes(runs: Sequence[RunRecord], split: str) -> list[str]:
    """Returns the names of all runs' classes, each once, in the order in which they first appear."""
    return list(
        dict.fromkeys(name for run in runs for name in (run.metrics.get(split) or {}).get("iou") or {})
    )


def _position(split: str) -> int:
    return _SPLIT_ORDER.index(split) if split in _SPLIT_ORDER else len(_SPLIT_ORDER)


def _read_shares(evaluation: EvaluationDocument) -> dict[str, NDArray[np.float64]]:
    size = len(evaluation.class_names)
    return {
        result.split: normalise_rows(np.array(result.confusion_matrix, np.int64))
        for result in evaluation.results
        if result.confusion_matrix is not None
        and not result.features
        and np.shape(result.confusion_matrix) == (size, size)
    }


def _compare_shares(
    old: NDArray[np.float64],
    new: NDArray[np.float64],
    old_names: Sequence[str],
    new_names: Sequence[str],
    run_id: str,
    split: str,
) -> Iterator[ConfusionChange]:
    common = [name for name in old_names if name in new_names]
    for truth, predicted in product(common, common):
        before = float(old[old_names.index(truth), old_names.index(predicted)])
        after = float(new[new_names.index(truth), new_names.index(predicted)])
        if truth != predicted and before != after and not np.isnan(after - before):
            yield ConfusionChange(
                run_id=run_id, split=split, truth=truth, predicted=predicted,
                before=before, after=after, change=after - before,
            )  # fmt: skip
