"""The verdict from TFMA's validation, without running Beam."""

from __future__ import annotations

import math

import numpy as np
import pytest

from components.baseline_reference import BaselineReference
from components.config import EvaluationConfig, GatesConfig
from components.evaluation_results import GateFailures, SliceResult, find_empty_slices
from components.judge_model import judge_model, metrics_to_json, verdict_to_json
from trainer.confusion_matrix import compute_metrics

CLASSES = ("ground", "tree", "unicorn")
MATRIX = np.array([[6, 2, 0], [1, 1, 0], [0, 0, 0]])  # IoU 6/9, 1/4, undefined.
CONFIG = EvaluationConfig(
    gates=GatesConfig(floors={"mean_iou": 0.4, "iou/unicorn": 0.0}, max_drop={"mean_iou": 0.01})
)


def result(split: str = "test", images: int = 3, **features: str) -> SliceResult:
    return SliceResult(split, features, images, compute_metrics(MATRIX, CLASSES), MATRIX)


def failures(*failed: tuple[str, bool], missing: bool = False) -> GateFailures:
    return GateFailures(frozenset(failed), missing, validation_ok=not failed and not missing)


def test_each_gate_gets_its_own_outcome() -> None:
    verdict = judge_model(
        CONFIG,
        [result(), result("val")],
        [],
        failures(("iou/unicorn", False)),
        BaselineReference(),
    )

    assert not verdict.blessed
    assert [outcome.passed for outcome in verdict.outcomes] == [True, False, True]
    assert verdict.outcomes[0].value == pytest.approx((6 / 9 + 1 / 4) / 2)
    assert verdict.outcomes[1].value is None


def test_no_image_of_the_split_passes_nothing_even_if_tfma_says_so() -> None:
    for results in ([], [result("val")], [result("test", images=0)]):
        verdict = judge_model(CONFIG, results, [], failures(), BaselineReference())

        assert not verdict.blessed
        assert not any(outcome.passed for outcome in verdict.outcomes)


def test_a_slice_is_not_its_split() -> None:
    verdict = judge_model(CONFIG, [result("test", weather="sun")], [], failures(), BaselineReference())

    assert not verdict.blessed


def test_the_verdict_says_all_in_json_without_nan() -> None:
    results = [result(), result("test", weather="sun")]
    verdict = judge_model(CONFIG, results, [], failures(("iou/unicorn", False)), BaselineReference())

    document = verdict_to_json(verdict, results, CLASSES, {"baseline": None}, ["note"])

    assert document["metrics"]["test"]["iou"] == {"ground": 6 / 9, "tree": 0.25, "unicorn": None}
    assert document["num_images"] == {"test": 3}
    assert document["slices"][0]["features"] == {"weather": "sun"}
    assert "confusion_matrix" not in document["slices"][0]
    assert set(document["gates"][0]) == {
        "metric", "split", "kind", "bound", "value", "baseline_value", "passed", "sentence",
    }  # fmt: skip
    assert not any(
        isinstance(v, float) and math.isnan(v) for gate in document["gates"] for v in gate.values()
    )


def test_metrics_hold_the_matrices_of_both_models() -> None:
    document = metrics_to_json([result()], [result()], CLASSES)

    assert document["splits"]["test"]["confusion_matrix"] == MATRIX.tolist()
    assert document["baseline"]["splits"]["test"]["num_images"] == 3
    assert metrics_to_json([result()], [], CLASSES)["baseline"] is None


def test_slices_without_images_are_named_once_a_split() -> None:
    notes = find_empty_slices([result("val", a="1")], [["a"]], ["val", "test"])

    assert notes == ["No image of test has a, so there is no such slice."]
