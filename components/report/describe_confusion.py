"""A confusion matrix as the page shows it: shares of each true class, shades, and the largest mistakes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_SHADE = 10


@dataclass(frozen=True)
class Cell:
    """The pixels of one true class that got one predicted class."""

    count: int
    text: str
    """The share of the row in percent, rounded; empty where there is none."""
    shade: int
    """0 (none) to MAX_SHADE (the whole row)."""
    is_correct: bool


@dataclass(frozen=True)
class Row:
    """One true class."""

    class_id: int
    total: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Mistake:
    """Pixels of one class that the model took for another."""

    truth: int
    prediction: int
    count: int
    share_of_class: float


def describe_rows(matrix: NDArray[np.int64]) -> tuple[Row, ...]:
    """Returns the rows of a matrix, int64 [classes, classes], each normalised by its own sum."""
    rows = []
    for class_id, counts in enumerate(matrix):
        total = int(counts.sum())
        cells = (_describe_cell(int(count), total, column == class_id) for column, count in enumerate(counts))
        rows.append(Row(class_id, total, tuple(cells)))
    return tuple(rows)


def _describe_cell(count: int, total: int, is_correct: bool) -> Cell:
    share = count / total if total else 0.0
    percent = share * 100
    text = "" if not count else "<1" if percent < 0.5 else f"{percent:.0f}"
    # The root makes mistakes of a few percent visible beside the diagonal.
    return Cell(count, text, math.ceil(math.sqrt(share) * MAX_SHADE), is_correct)


def list_mistakes(matrix: NDArray[np.int64], limit: int = 8) -> tuple[Mistake, ...]:
    """Returns the pairs of classes with the most wrong pixels, largest first."""
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:limit]
    mistakes = []
    for truth, prediction in zip(*np.unravel_index(order, wrong.shape), strict=True):
        count = int(wrong[truth, prediction])
        if count:
            total = int(matrix[truth].sum())
            mistakes.append(Mistake(int(truth), int(prediction), count, count / total))
    return tuple(mistakes)
