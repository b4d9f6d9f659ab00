"""The Evaluator really run over Beam on small images, against numpy."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.config import EvaluationConfig, GatesConfig
from components.push_version import ModelFacts, push_version
from data.classes import ClassTable, SegmentationClass
from trainer.confusion_matrix import compute_metrics

pytestmark = pytest.mark.slow


@pytest.fixture
def evaluate(
    tmp_path: Path,
    write_examples: Callable[..., Any],
    write_model: Callable[..., Any],
    small: Any,
    scenes: Any,
) -> Callable[..., tuple[dict[str, Any], dict[str, Any], Any]]:
    """Runs the executor on real artifacts; returns verdict.json, metrics.json and the blessing."""

    def run(
        config: EvaluationConfig,
        offset: int = 0,
        baseline_uri: str = "",
        splits: Mapping[str, Any] = scenes,
    ) -> tuple[dict[str, Any], dict[str, Any], Any]:
        from google.protobuf import json_format
        from tfx.types import standard_artifacts

        from components.build_eval_config import build_eval_config
        from components.evaluator import Executor

        evaluation, blessing = standard_artifacts.ModelEvaluation(), standard_artifacts.ModelBlessing()
        evaluation.uri, blessing.uri = str(tmp_path / "evaluation"), str(tmp_path / "blessing")
        Executor(Executor.Context(tmp_dir=str(tmp_path / "tmp"), unique_id="1")).Do(
            {
                "examples": [write_examples(tmp_path / "examples", splits)],
                "model": [write_model(tmp_path / "model", offset)],
            },
            {"evaluation": [evaluation], "blessing": [blessing]},
            {
                "eval_config": json_format.MessageToJson(
                    build_eval_config(config, small.CLASS_NAMES, "code-1")
                ),
                "example_splits": json.dumps(list(config.splits)),
                "evaluation_config": config.model_dump_json(),
                "class_names": json.dumps(small.CLASS_NAMES),
                "code_fingerprint": "code-1",
                "baseline_uri": baseline_uri,
            },
        )
        verdict = json.loads((tmp_path / "blessing/verdict.json").read_text())
        metrics = json.loads((tmp_path / "evaluation/metrics.json").read_text())
        return verdict, metrics, blessing

    return run


def gates(
    floors: dict[str, float], max_drop: dict[str, float] | None = None, **more: Any
) -> EvaluationConfig:
    return EvaluationConfig(gates=GatesConfig(floors=floors, max_drop=max_drop or {}), **more)


def is_blessed(blessing: Any) -> bool:
    from tfx.components.util.model_utils import is_model_blessed

    blessed = bool(is_model_blessed(blessing))
    assert (Path(blessing.uri) / "BLESSED").exists() == blessed
    assert (Path(blessing.uri) / "NOT_BLESSED").exists() != blessed
    return blessed


def test_every_number_equals_numpy_by_split_and_by_slice(evaluate: Any, small: Any, scenes: Any) -> None:
    config = gates(
        {"mean_iou": 0.3, "iou/tree": 0.3}, slices=(("weather",), ("image/format", "weather"), ("wether",))
    )

    verdict, metrics, blessing = evaluate(config)

    assert is_blessed(blessing)
    assert verdict["blessed"] is True
    for split, of in scenes.items():
        matrix = small.reference_matrix(of)
        assert metrics["splits"][split]["confusion_matrix"] == matrix.tolist()
        assert verdict["num_images"][split] == len(of)
        expected = compute_metrics(matrix, small.CLASS_NAMES)
        got = verdict["metrics"][split]
        for name in ("pixel_accuracy", "mean_class_accuracy", "mean_iou", "frequency_weighted_iou"):
            assert got[name] == pytest.approx(expected[name], abs=1e-12)
        for name in ("ground", "tree", "sky"):
            assert got["iou"][name] == pytest.approx(expected[f"iou/{name}"], abs=1e-12)
        assert got["iou"]["unicorn"] is None
    by_features = {(s["split"], *sorted(s["features"].items())): s for s in metrics["slices"]}
    rain = [scene for scene in scenes["test"] if scene.attributes.get("weather") == "rain"]
    found = by_features[("test", ("attribute/weather", "rain"))]
    assert found["num_images"] == 2
    assert found["confusion_matrix"] == small.reference_matrix(rain).tolist()
    crossed = by_features[("test", ("attribute/weather", "rain"), ("image/format", "png"))]
    assert crossed["confusion_matrix"] == found["confusion_matrix"]
    assert any("test has attribute/wether" in note for note in verdict["notes"])
    assert verdict["data_fingerprint"] == "data-1"
    assert verdict["code_fingerprint"] == "code-1"
    assert verdict["baseline"] is None


def test_a_model_under_a_floor_is_refused_and_says_why(evaluate: Any, small: Any, scenes: Any) -> None:
    value = compute_metrics(small.reference_matrix(scenes["test"]), small.CLASS_NAMES)["mean_iou"]

    verdict, _, blessing = evaluate(
        gates({"mean_iou": value + 1e-6, "pixel_accuracy": 0.1, "iou/sky": 0.99, "iou/unicorn": 0.0})
    )

    assert not is_blessed(blessing)
    assert verdict["blessed"] is False
    by_metric = {gate["metric"]: gate for gate in verdict["gates"]}
    assert {metric: gate["passed"] for metric, gate in by_metric.items()} == {
        "mean_iou": False,
        "pixel_accuracy": True,
        "iou/sky": False,
        "iou/unicorn": False,  # No pixel is of that class.
    }
    assert by_metric["mean_iou"]["value"] == pytest.approx(value, abs=1e-12)
    assert "below its floor" in by_metric["mean_iou"]["sentence"]
    assert by_metric["iou/unicorn"]["value"] is None
    assert "undefined" in by_metric["iou/unicorn"]["sentence"]


def test_values_on_their_floors_pass_whatever_the_other_split_does(
    evaluate: Any, small: Any, scenes: Any
) -> None:
    """val is so bad that it would fail; it is not the gate's split. There is no baseline either."""
    values = compute_metrics(small.reference_matrix(scenes["test"]), small.CLASS_NAMES)
    wrong = [small.Scene(scene.image, (scene.mask + 1) % 3, {}) for scene in scenes["val"]]

    verdict, _, blessing = evaluate(
        gates({"mean_iou": values["mean_iou"], "iou/sky": values["iou/sky"]}, {"mean_iou": 0.0}),
        splits={**scenes, "val": wrong},
    )

    assert is_blessed(blessing)
    assert verdict["metrics"]["val"]["mean_iou"] < values["mean_iou"]
    assert verdict["gates"][2]["passed"] is True
    assert "no model has been pushed before" in verdict["gates"][2]["sentence"]


def test_a_split_without_images_blesses_nothing(evaluate: Any, scenes: Any) -> None:
    verdict, _, blessing = evaluate(gates({"mean_iou": 0.0}), splits={**scenes, "test": []})

    assert not is_blessed(blessing)
    assert "test" not in verdict["num_images"]
    assert "no image was evaluated" in verdict["gates"][0]["sentence"]


def test_no_images_at_all_bless_nothing(evaluate: Any) -> None:
    verdict, metrics, blessing = evaluate(gates({"mean_iou": 0.0}), splits={"val": [], "test": []})

    assert not is_blessed(blessing)
    assert metrics["splits"] == {}
    assert verdict["gates"][0]["passed"] is False


def test_a_split_that_is_not_there_is_refused(evaluate: Any, scenes: Any) -> None:
    from data.errors import RefusedError

    with pytest.raises(RefusedError, match=r"evaluation.splits: names val, but the data set has only test"):
        evaluate(gates({"mean_iou": 0.0}), splits={"test": scenes["test"]})


def push(model: Any, serving_root: Path, version: int) -> Path:
    """Pushes a model as that version, with the manifest that a baseline is held against."""
    (serving_root / str(version - 1)).mkdir(parents=True)
    table = ClassTable((SegmentationClass(0, "ground", (1, 2, 3)),), 255)
    scores = {
        "pixel_accuracy": 0.9,
        "mean_class_accuracy": 0.8,
        "mean_iou": 0.7,
        "frequency_weighted_iou": 0.7,
    }
    verdict = {"metrics": {"test": {**scores, "iou": {"ground": 0.7}}}, "data_fingerprint": "data-1"}
    facts = ModelFacts("scenes", "run-1", table, "code-1", verdict)
    pushed = push_version(str(serving_root), str(Path(model.uri) / "Format-Serving"), facts)
    assert pushed.version == version
    return Path(pushed.path)


@pytest.mark.parametrize(
    ("allowed", "blessed"), [(0.5, True), (0.0, False)], ids=["within the tolerance", "over the tolerance"]
)
def test_a_drop_against_the_pushed_model(
    evaluate: Any, write_model: Any, small: Any, scenes: Any, tmp_path: Path, allowed: float, blessed: bool
) -> None:
    version = push(write_model(tmp_path / "pushed"), tmp_path / "serving", 7)
    better = compute_metrics(small.reference_matrix(scenes["test"]), small.CLASS_NAMES)["mean_iou"]
    worse = compute_metrics(small.reference_matrix(scenes["test"], offset=30), small.CLASS_NAMES)["mean_iou"]
    assert 0.0 < better - worse < 0.5

    verdict, metrics, blessing = evaluate(
        gates({"mean_iou": 0.0}, {"mean_iou": allowed}), offset=30, baseline_uri=f"{version}#model=abc"
    )

    assert is_blessed(blessing) == blessed
    gate = verdict["gates"][1]
    assert gate["kind"] == "max_drop"
    assert gate["passed"] == blessed
    assert gate["value"] == pytest.approx(worse, abs=1e-12)
    assert gate["baseline_value"] == pytest.approx(better, abs=1e-12)
    assert f"{better - worse:.4f} worse" in gate["sentence"]
    assert verdict["baseline"] == {"version": 7, "uri": str(version)}
    matrix = metrics["baseline"]["splits"]["test"]["confusion_matrix"]
    assert np.array_equal(matrix, small.reference_matrix(scenes["test"]))


def test_an_equal_model_passes_a_drop_of_nothing(evaluate: Any, write_model: Any, tmp_path: Path) -> None:
    pushed = push(write_model(tmp_path / "pushed"), tmp_path / "serving", 1)

    verdict, _, blessing = evaluate(
        gates({"mean_iou": 0.0}, {"mean_iou": 0.0, "iou/unicorn": 0.0}), baseline_uri=str(pushed)
    )

    by_metric = {gate["metric"]: gate for gate in verdict["gates"] if gate["kind"] == "max_drop"}
    assert by_metric["mean_iou"]["passed"] is True
    assert by_metric["iou/unicorn"]["passed"] is False  # Undefined, so nothing to compare.
    assert not is_blessed(blessing)
