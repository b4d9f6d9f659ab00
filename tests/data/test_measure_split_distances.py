from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from data.examine_pair import PairFacts
from data.measure_split_distances import jensen_shannon_divergence, measure_split_distances
from data.pairs import Pair

_VALUES = st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=60)


def make_facts(split: str, mean: float, kind: str = "png", ground: int = 5) -> PairFacts:
    pair = Pair("a", split, "a.png", "m.png")  # type: ignore[arg-type]
    return PairFacts(pair, "", "", 4, 6, 3, 8, kind, mean, (ground, 24 - ground), 0, 0.0, b"", b"")


def test_divergence_by_hand() -> None:
    same, apart = np.array([0.0, 1.0]), np.array([9.0, 10.0])
    assert jensen_shannon_divergence(same, same) == 0
    assert jensen_shannon_divergence(same, apart) == 1
    # Shares (1, 0) against (1/2, 1/2): half of log2(4/3) + 1/2 log2(2/3) + 1/2 log2(2) bits.
    expected = (np.log2(4 / 3) + 0.5 * np.log2(2 / 3) + 0.5) / 2
    assert jensen_shannon_divergence(np.array([0.0, 0.0]), np.array([0.0, 1.0])) == pytest.approx(expected)
    assert jensen_shannon_divergence(np.array([3.0]), np.array([3.0, 3.0])) == 0


@given(_VALUES, _VALUES)
def test_divergence_agrees_with_scipy(one: list[float], other: list[float]) -> None:
    low, high = min(one + other), max(one + other)
    if high - low < 1e-3:
        return
    histograms = [np.histogram(values, 10, (low, high))[0] for values in (one, other)]
    expected = jensenshannon(*histograms, base=2) ** 2
    found = jensen_shannon_divergence(np.array(one), np.array(other))
    assert found == pytest.approx(expected, abs=1e-7)


def test_splits_are_compared_with_train_where_there_are_enough_images() -> None:
    facts = [make_facts("train", index) for index in range(40)]
    facts += [make_facts("val", index, "jpeg" if index % 4 == 0 else "png", ground=7) for index in range(40)]
    facts += [make_facts("test", 200) for _ in range(29)]
    distances = measure_split_distances(facts, ["ground", "tree"])
    assert set(distances) == {"val"}
    val = distances["val"]
    assert val["image/mean"] == 0 and val["image/format"] == pytest.approx(0.25)
    assert val["mask/pixels/ground"] == val["mask/pixels/tree"] == 1 and val["image/height_px"] == 0
