"""Numbers, curves, confusion and the tables' rows against values computed by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from components.report.describe_confusion import describe_rows, list_mistakes
from components.report.describe_data import describe_frequencies, describe_model
from components.report.describe_scores import (
    describe_classes,
    describe_highlights,
    describe_scores,
    describe_tiles,
    select_notes,
)
from components.report.draw_curves import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Series,
    choose_ticks,
    draw_chart,
    draw_learning_curves,
)
from components.report.facts import Epoch, RunFacts, Verdict
from components.report.format_values import (
    format_change,
    format_count,
    format_metric,
    format_number,
    format_percent,
    format_seconds,
    metric_label,
)

SPACE = "\N{NARROW NO-BREAK SPACE}"
Make = Callable[..., RunFacts]


def test_numbers_are_written_for_readers() -> None:
    assert format_metric(0.74216) == "0.7422"
    assert format_metric(None) == format_metric(math.nan) == "\N{EN DASH}"
    assert format_change(0.75, 0.7375) == "+0.0125"
    assert format_change(0.7, 0.75) == "\N{MINUS SIGN}0.0500"
    assert format_change(0.70001, 0.7) == "0.0000"
    assert format_change(0.7, None) == "\N{EN DASH}"
    assert format_count(1234567) == "1,234,567"
    assert format_percent(0.1234) == f"12.3{SPACE}%"
    assert format_percent(0.0001) == f"<0.1{SPACE}%"
    assert format_percent(0.0) == f"0.0{SPACE}%"
    assert format_seconds(8.24) == f"8.2{SPACE}s"
    assert format_seconds(192.4) == f"3{SPACE}min 12{SPACE}s"
    assert format_seconds(7500) == f"2{SPACE}h 5{SPACE}min"
    assert [format_number(value) for value in (0, 0.002131, 84.26, 1240.0, 2.0)] == [
        "0",
        "0.00213",
        "84.3",
        "1,240",
        "2",
    ]
    assert metric_label("iou/road") == "IoU of road"


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.0, 1.0, (0.0, 0.25, 0.5, 0.75, 1.0)),
        (0.13, 2.2, (0.0, 1.0, 2.0, 3.0)),
        (0.61, 0.66, (0.6, 0.62, 0.64, 0.66)),
        (5.0, 5.0, (4.5, 4.75, 5.0, 5.25, 5.5)),
    ],
)
def test_ticks_are_round_and_span_the_values(low: float, high: float, ticks: tuple[float, ...]) -> None:
    assert choose_ticks(low, high) == pytest.approx(ticks)


@pytest.mark.parametrize(("low", "high"), [(1e-7, 3e-7), (0, 1e9), (-3, 8), (0.999, 1.0)])
def test_ticks_hold_any_values(low: float, high: float) -> None:
    ticks = choose_ticks(low, high)

    assert ticks[0] <= low
    assert ticks[-1] >= high
    assert 2 <= len(ticks) <= 8


def test_a_line_goes_from_corner_to_corner() -> None:
    chart = draw_chart("Loss", [Series("training", ((1, 1.0), (2, 0.5), (3, 0.0)))], format_number)

    assert chart is not None
    line = chart.lines[0]
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    assert [(dot.x, dot.y) for dot in line.dots] == [
        (LEFT, TOP),
        ((LEFT + right) / 2, (TOP + bottom) / 2),
        (right, bottom),
    ]
    assert line.path == f"M{LEFT} {TOP}L{(LEFT + right) / 2:g} {(TOP + bottom) / 2:g}L{right} {bottom}"
    assert chart.text == "Loss: training goes from 1 in epoch 1 to 0 in epoch 3."
    assert [tick.label for tick in chart.x_ticks] == ["1", "2", "3"]


def test_the_best_epoch_is_marked_where_the_metric_is_highest() -> None:
    history = [
        Epoch(1, 10, 1.0, 0.1, {"mean_iou": 0.3}),
        Epoch(2, 20, 0.8, 0.1, {"mean_iou": 0.6}),
        Epoch(3, 30, 0.7, 0.1, {}),
        Epoch(4, 40, 0.6, 0.1, {"mean_iou": 0.5}),
    ]
    loss, metrics, rate = draw_learning_curves(history)

    assert metrics.lines[0].best is not None
    assert metrics.lines[0].best.text == "epoch 2: mean IoU 0.6000"
    assert "highest in epoch 2 with 0.6000" in metrics.text
    assert [dot.text for dot in metrics.lines[0].dots][-1] == "epoch 4: mean IoU 0.5000"
    assert [line.name for line in loss.lines] == ["training"]
    assert rate.lines[0].best is None


def test_charts_of_one_epoch_and_of_none() -> None:
    (loss,) = draw_learning_curves([Epoch(7, 10, 1.0, None, {})])

    assert loss.text == "Loss: training is 1 in epoch 7."
    assert draw_learning_curves([]) == ()


def test_many_epochs_are_a_line_without_dots() -> None:
    chart = draw_chart("Loss", [Series("training", tuple((x, 1 / x) for x in range(1, 501)))], format_number)

    assert chart is not None
    assert chart.lines[0].dots == ()
    assert [tick.label for tick in chart.x_ticks] == ["100", "200", "300", "400", "500"]


def test_rows_of_a_matrix_are_shares_of_the_true_class() -> None:
    rows = describe_rows(np.array([[996, 4, 0], [25, 75, 0], [0, 0, 0]]))

    assert [[cell.text for cell in row.cells] for row in rows] == [
        ["100", "<1", ""],
        ["25", "75", ""],
        ["", "", ""],
    ]
    # The root of the share in tenths, rounded up: 9.98, 0.63; 5, 8.66.
    assert [[cell.shade for cell in row.cells] for row in rows] == [[10, 1, 0], [5, 9, 0], [0, 0, 0]]
    assert [row.total for row in rows] == [1000, 100, 0]
    assert [[cell.is_correct for cell in row.cells] for row in rows] == np.eye(3, dtype=bool).tolist()


def test_mistakes_come_by_their_size() -> None:
    matrix = np.array([[50, 30, 20], [0, 5, 5], [40, 0, 60]])
    mistakes = list_mistakes(matrix, 3)

    assert [(one.truth, one.prediction, one.count) for one in mistakes] == [
        (2, 0, 40),
        (0, 1, 30),
        (0, 2, 20),
    ]
    assert [one.share_of_class for one in mistakes] == [0.4, 0.3, 0.2]
    assert list_mistakes(np.eye(3, dtype=np.int64)) == ()
    assert matrix[0, 0] == 50


def test_scores_are_followed_by_the_served_models(make_facts: Make) -> None:
    rows = describe_scores(make_facts())

    assert [(row.name, row.kind) for row in rows] == [
        ("val", "model"),
        ("test", "model"),
        ("test, version 2", "baseline"),
        ("test, difference", "change"),
    ]
    # Correct 90 + 90 of 220; with 10 of row 0 and 13 of row 1 added elsewhere see make_facts.
    assert rows[1].values[0] == f"{180 / 220:.4f}"


def test_tiles_and_classes_compare_with_the_served_model(make_facts: Make) -> None:
    facts = make_facts()
    tiles = describe_tiles(facts)
    rows = describe_classes(facts)

    assert [tile.label for tile in tiles][:2] == ["Mean IoU", "Pixel accuracy"]
    # IoU of ground: 90 / (100 + 120 - 90); of tree: 90 / (120 + 100 - 90).
    assert rows[0].iou == pytest.approx(90 / 130)
    assert rows[1].iou == pytest.approx(90 / 130)
    assert rows[2].iou is None
    assert tiles[0].value == f"{90 / 130:.3f}"
    assert tiles[0].direction == "better"
    assert rows[0].direction == "better"
    assert describe_tiles(make_facts(baseline=None))[0].change == ""


def test_highlights_name_the_weakest_class_and_the_largest_mistake(make_facts: Make) -> None:
    weakest, mistake, training = describe_highlights(make_facts())

    assert weakest == "Weakest class on test, by IoU: ground (0.69)."
    assert mistake == f"Most common mistake: tree taken for ground, 25.0{SPACE}% of its pixels."
    assert training == f"Trained for 3 epochs in 6.5{SPACE}s; best validation mean IoU 0.600 in epoch 3."


def test_notes_that_a_gate_gives_as_well_are_left_out(make_facts: Make) -> None:
    verdict = make_facts().verdict
    gate = replace(verdict.gates[0], sentence="mean_iou was compared with nothing: no model is pushed.")
    notes = ("There was nothing to compare with: no model is pushed.", "No image of test has rain.")

    assert select_notes(replace(verdict, gates=(gate,), notes=notes)) == notes[1:]
    assert select_notes(replace(verdict, gates=(), notes=notes)) == notes


def test_frequencies_are_shares_of_each_splits_pixels(make_facts: Make) -> None:
    rows = describe_frequencies(make_facts())

    # Train holds 0, 1 and 2 pixels of the classes, test one of each.
    assert [row.splits[0].share for row in rows] == pytest.approx([0, 1 / 3, 2 / 3])
    assert [row.splits[1].share for row in rows] == pytest.approx([1 / 3] * 3)
    assert [row.splits[1].bar for row in rows] == pytest.approx([0.5] * 3)
    assert [row.is_missing_in_train for row in rows] == [True, False, False]


def test_model_facts_leave_out_what_is_not_known(make_facts: Make) -> None:
    assert describe_model(make_facts()) == (
        ("Parameters", "1,234"),
        ("Precision", "float32: no bfloat16 in silicon"),
        ("Devices", "CPU:0, CPU:1"),
        ("Training", "3 epochs, 15 steps, ended by trainer.max_minutes, resumed after epoch 2"),
        ("Training speed", "50 images/s"),
        ("Peak memory of the process", f"1.5{SPACE}GB"),
    )


def test_model_facts_say_what_stopped_the_training_and_whether_it_repeats(make_facts: Make) -> None:
    training = {
        "steps": 15,
        "epochs": 3,
        "stopped_by": "no_improvement",
        "resumed_from_epoch": 0,
        "resumed_from_step": 4,
        "deterministic": {"bit_equal": False, "reason": "2 devices"},
    }
    assert describe_model(make_facts(training=training)) == (
        ("Training", "3 epochs, 15 steps, ended by trainer.early_stopping_epochs, resumed after step 4"),
        ("Same bits again", "no: 2 devices"),
    )


def test_model_facts_tell_what_a_network_costs_and_what_it_started_from(make_facts: Make) -> None:
    training = {
        "flops": 2_345_678_901,
        "first_weights": {"source": "imagenet", "taken": 1200, "fresh": ["score/kernel", "score/bias"]},
    }
    facts = make_facts(training=training, verdict=Verdict(images_per_second=12.5))
    assert describe_model(facts) == (
        ("First weights", "imagenet: 1,200 taken over, 2 fresh"),
        ("Arithmetic of an image", f"2.35{SPACE}GFLOP"),
        ("Network's speed", "12.5 images/s, one at a time on a CPU"),
    )
