"""Gates: names that exist, and a sentence for each outcome."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import pytest

from components.config import EvaluationConfig, GatesConfig
from components.gates import Gate, explain_gate, list_gates, slice_feature, validate_gates

CLASSES = ("ground", "tree", "sky")


def config(floors: dict[str, float], max_drop: dict[str, float] | None = None) -> EvaluationConfig:
    return EvaluationConfig(gates=GatesConfig(floors=floors, max_drop=max_drop or {}))


def test_known_metrics_are_accepted() -> None:
    known = {name: 0.5 for name in ("pixel_accuracy", "mean_class_accuracy", "mean_iou", "iou/sky")}

    assert validate_gates(config(known, {"frequency_weighted_iou": 0.1, "iou/ground": 0.1}), CLASSES) == []


def test_every_unknown_metric_is_named_with_its_key_and_a_remedy() -> None:
    problems = validate_gates(config({"mean_iuo": 0.5, "mean_iou": 0.1}, {"iou/skY": 0.1, "x": 0.1}), CLASSES)

    assert [problem.where for problem in problems] == [
        "evaluation.gates.floors.mean_iuo",
        "evaluation.gates.max_drop.iou/skY",
        "evaluation.gates.max_drop.x",
    ]
    assert problems[0].remedy == "Did you mean mean_iou?"
    assert problems[1].remedy == "Did you mean iou/sky?"
    assert "iou/<class>" in problems[2].remedy


def test_gates_are_listed_floors_first_on_the_gate_split() -> None:
    assert list_gates(config({"mean_iou": 0.5}, {"mean_iou": 0.1})) == (
        Gate("mean_iou", "test", "floor", 0.5),
        Gate("mean_iou", "test", "max_drop", 0.1),
    )


@pytest.mark.parametrize(
    ("gate", "values", "passed", "sentence"),
    [
        (("floor", 0.7), (0.71, None), True, "mean_iou on test is 0.7100 and reaches its floor 0.7000."),
        (("floor", 0.7), (0.6, None), False, "mean_iou on test is 0.6000 and is below its floor 0.7000."),
        (
            ("max_drop", 0.1),
            (0.6, 0.65),
            True,
            "mean_iou on test is 0.6000, 0.0500 worse than the pushed model's 0.6500; "
            "a drop of up to 0.1000 is allowed.",
        ),
        (
            ("max_drop", 0.01),
            (0.6, 0.65),
            False,
            "mean_iou on test is 0.6000, 0.0500 worse than the pushed model's 0.6500; "
            "only 0.0100 is allowed.",
        ),
        (
            ("max_drop", 0.01),
            (0.7, 0.5),
            True,
            "mean_iou on test is 0.7000, 0.2000 better than the pushed model's 0.5000; "
            "a drop of up to 0.0100 is allowed.",
        ),
        (
            ("max_drop", 0.0),
            (0.5, 0.5),
            True,
            "mean_iou on test is 0.5000, as good as the pushed model's 0.5000; "
            "a drop of up to 0.0000 is allowed.",
        ),
        (
            ("max_drop", 0.1),
            (0.5, math.nan),
            False,
            "mean_iou on test is 0.5000, but undefined for the pushed model, so it cannot be compared.",
        ),
    ],
)
def test_sentences(
    gate: tuple[Any, float], values: tuple[float, float | None], passed: bool, sentence: str
) -> None:
    kind, bound = gate

    assert explain_gate(Gate("mean_iou", "test", kind, bound), *values, passed) == sentence


@pytest.mark.parametrize("value", [None, math.nan])
def test_an_undefined_metric_is_explained(value: float | None) -> None:
    sentence = explain_gate(Gate("iou/sky", "test", "floor", 0.0), value, None, False)

    assert sentence.startswith("iou/sky on test is undefined")
    assert sentence.endswith("Add images with it to test, or remove the gate.")


def test_slices_name_attributes_or_keys() -> None:
    assert slice_feature("weather") == "attribute/weather"
    assert slice_feature("image/format") == "image/format"


def test_checking_a_configuration_imports_nothing_heavy() -> None:
    code = "import sys, components.gates; print({'tensorflow', 'tfx', 'apache_beam'} & set(sys.modules))"

    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert output.stdout.strip() == "set()"
