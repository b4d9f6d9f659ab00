"""The Evaluator really run over Beam on small images, against numpy."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.config import EvaluationConfig, GatesConfig
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
    config = gates({"mean_iou": 0.3, "iou/tree": 0.3}, slices=(("weather",), ("image/format", "weather")))

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
    assert verdict["data_fingerprint"] == "data-1"
    assert verdict["code_fingerprint"] == "code-1"
    assert verdict["baseline"] is None
