from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.assign_splits import split_of
from data.check_report import CheckReport, SplitFacts
from data.propose_settings import (
    WORKING_PIXELS,
    propose_max_skew,
    propose_settings,
    propose_splits,
    propose_working_size,
)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((480, 360), (240, 184)),
        ((360, 480), (184, 240)),
        ((2048, 1024), (296, 152)),
        ((128, 128), (128, 128)),
        ((100, 50), (104, 56)),
        ((5000, 10), (4736, 16)),
        ((3, 2), (8, 8)),
        ((100_000, 8), (8192, 8)),
    ],
)
def test_working_sizes(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert propose_working_size([(size, 5)]) == expected


@given(st.integers(64, 6000), st.integers(64, 6000))
def test_working_sizes_keep_shape_and_bound(width: int, height: int) -> None:
    if not 1 / 6 < width / height < 6:
        return
    new_width, new_height = propose_working_size([((width, height), 1)])
    assert new_width % 8 == new_height % 8 == 0
    assert new_width * new_height <= 1.1 * WORKING_PIXELS + 8 * (new_width + new_height)
    scale = min(new_width / width, new_height / height)
    assert new_width - width * scale < 9 and new_height - height * scale < 9


def test_mixed_sizes_take_the_usual_one() -> None:
    assert propose_working_size([((64, 64), 5), ((640, 480), 1), ((80, 72), 1)]) == (64, 64)
    assert propose_working_size([]) == (128, 128)


def report_of(
    counts: dict[str, int], names: tuple[str, ...] = ("sky", "road"), void: float = 0.1
) -> CheckReport:
    splits = {
        name: SplitFacts(count, (5,) * len(names), (count,) * len(names), 0) for name, count in counts.items()
    }
    sizes = (((480, 360), sum(counts.values())),)
    return CheckReport("r", "folder", names, True, splits, sizes, {}, 1, void, {}, (), (), (), (), None)


def test_evaluated_splits_are_those_that_exist() -> None:
    assert propose_settings(report_of({"train": 50, "val": 9})).gate_split == "val"
    both = propose_settings(report_of({"train": 50, "val": 9, "test": 20}))
    assert both.splits == ("val", "test") and both.gate_split == "test"
    assert propose_settings(report_of({"train": 50})).splits == ("train",)
    assert propose_settings(report_of({"train": 50, "val": 3})).smoke_test_images == 3


def test_trainer_and_gates_follow_the_counts() -> None:
    small, large = report_of({"train": 6, "val": 1}), report_of({"train": 20_000, "val": 900})
    assert propose_settings(small).batch_size == 1 and propose_settings(large).batch_size == 8
    assert propose_settings(small).epochs > propose_settings(large).epochs
    assert propose_settings(small).mean_iou_max_drop > propose_settings(large).mean_iou_max_drop
    assert propose_settings(report_of({"train": 9}, void=0.99)).max_void_share == 1


@pytest.mark.parametrize(
    ("largest", "limit"), [(0.0, 0.3), (0.1, 0.3), (0.12, 0.35), (0.5, 0.7), (0.51, None), (1.0, None)]
)
def test_skew_limits_let_the_data_set_pass(largest: float, limit: float | None) -> None:
    found = propose_max_skew({"val": {"image/mean": 0.0}, "test": {"image/mean": largest}})
    assert found == (None if limit is None else pytest.approx(limit))
    assert propose_max_skew({}) == 0.3


def test_mirrored_digits_are_not_digits() -> None:
    assert not propose_settings(report_of({"train": 9}, ("background", "digit 7"))).flip_horizontal
    assert not propose_settings(report_of({"train": 9}, ("a", "b"))).flip_horizontal
    assert propose_settings(report_of({"train": 9})).flip_horizontal


@pytest.mark.parametrize("count", [2, 3, 5, 9, 10, 11, 25, 80, 1000])
def test_proposed_splits_leave_none_empty(count: int) -> None:
    ids = [f"scan{index}" for index in range(count)]
    config = propose_splits(ids)
    found = [split_of(image_id, config) for image_id in ids]
    for name in ("train", "val", "test"):
        assert (found.count(name) > 0) == (getattr(config, name) > 0)
        assert found.count(name) >= 0.7 * getattr(config, name) * count - 1e-6
