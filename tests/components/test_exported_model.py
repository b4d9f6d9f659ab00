"""The gates on what the trainer really exports: an FCN with random weights is as good as any for that."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.config import EvaluationConfig, GatesConfig
from trainer.confusion_matrix import compute_metrics

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, small: Any) -> Any:
    """A Model artifact with a small FCN for a working size that fits no image."""
    return export(tmp_path_factory.mktemp("exported"), small)


@pytest.fixture(scope="module")
def averaging(tmp_path_factory: pytest.TempPathFactory, small: Any) -> Any:
    """The same with flips, scales and windows."""
    from trainer.inference_config import InferenceConfig

    inference = InferenceConfig(
        flip_horizontal=True, scales=(0.75, 1.25), window_height_px=32, window_width_px=32
    )
    return export(tmp_path_factory.mktemp("averaging"), small, inference)


def export(folder: Path, small: Any, *inference: Any) -> Any:
    import keras
    from tfx.types import standard_artifacts

    from data.config import ClassConfig, DataConfig, TransformConfig
    from data.read_transformed import DatasetStatistics
    from trainer.build_model import build_model
    from trainer.export import export_model
    from trainer.model_config import ModelConfig

    keras.utils.set_random_seed(7)
    mean, std = [120.0, 127.0, 127.0], [70.0, 74.0, 74.0]
    classes = tuple(ClassConfig(id=i, name=name) for i, name in enumerate(small.CLASS_NAMES))
    config = ModelConfig(width=8)
    statistics = DatasetStatistics(np.array(mean), np.array(std), np.ones(4), np.ones(4), 1)
    export_model(
        build_model(config, len(classes), mean, std),
        config,
        DataConfig(root="unused", classes=classes),
        TransformConfig(height_px=32, width_px=48),
        statistics,
        str(folder / "Format-Serving"),
        *inference,
    )
    model = standard_artifacts.Model()
    model.uri = str(folder)
    return model


def test_it_passes_the_smoke_test(
    exported: Any, write_examples: Callable[..., Any], scenes: Any, tmp_path: Path
) -> None:
    from tfx.types import standard_artifacts

    from components.serving_smoke_test import Executor

    blessing = standard_artifacts.InfraBlessing()
    blessing.uri = str(tmp_path / "blessing")
    Executor().Do(
        {"model": [exported], "examples": [write_examples(tmp_path / "examples", scenes)]},
        {"blessing": [blessing]},
        {
            "smoke_test_config": '{"images": 4}',
            "split": "test",
            "num_classes": 4,
            "ignore_id": 255,
            "timeout_seconds": 300.0,
            "code_fingerprint": "code-1",
        },
    )

    report = json.loads((tmp_path / "blessing/smoke_test.json").read_text())
    assert report["images_per_second"] > 0
    assert report["reasons"] == []
    assert blessing.get_int_custom_property("blessed") == 1


@pytest.mark.parametrize(
    "name",
    # The signatures of averaging models agree by tests/trainer/test_averaged_export.py.
    ["exported", pytest.param("averaging", marks=pytest.mark.long("exports and evaluates a second model"))],
)
def test_its_metrics_are_those_of_its_served_masks(
    name: str,
    request: pytest.FixtureRequest,
    write_examples: Callable[..., Any],
    scenes: Any,
    small: Any,
    tmp_path: Path,
) -> None:
    import tensorflow as tf
    from google.protobuf import json_format
    from tfx.types import standard_artifacts

    from components.build_eval_config import build_eval_config
    from components.evaluator import Executor

    exported = request.getfixturevalue(name)
    config = EvaluationConfig(gates=GatesConfig(floors={"mean_iou": 0.0}, max_drop={}))
    evaluation, blessing = standard_artifacts.ModelEvaluation(), standard_artifacts.ModelBlessing()
    evaluation.uri, blessing.uri = str(tmp_path / "evaluation"), str(tmp_path / "blessing")
    Executor(Executor.Context(tmp_dir=str(tmp_path / "tmp"), unique_id="1")).Do(
        {"model": [exported], "examples": [write_examples(tmp_path / "examples", scenes)]},
        {"evaluation": [evaluation], "blessing": [blessing]},
        {
            "eval_config": json_format.MessageToJson(build_eval_config(config, small.CLASS_NAMES, "code-1")),
            "example_splits": '["val", "test"]',
            "evaluation_config": config.model_dump_json(),
            "class_names": json.dumps(small.CLASS_NAMES),
            "code_fingerprint": "code-1",
            "baseline_uri": "",
        },
    )

    verdict = json.loads((tmp_path / "blessing/verdict.json").read_text())
    serve = tf.saved_model.load(f"{exported.uri}/Format-Serving").signatures["serving_default"]
    for split, of in scenes.items():
        matrix = np.zeros((4, 4), np.int64)
        masks = serve(image_bytes=tf.constant([small.png(scene.image) for scene in of]))["mask_png_bytes"]
        for scene, mask in zip(of, masks.numpy(), strict=True):
            served = np.asarray(Image.open(io.BytesIO(mask)))
            labelled = scene.mask != small.IGNORE_ID
            np.add.at(matrix, (scene.mask[labelled], served[labelled]), 1)
        assert np.count_nonzero(matrix.sum(axis=0)) > 1  # It does not say one class everywhere.
        expected = compute_metrics(matrix, small.CLASS_NAMES)
        for name in ("pixel_accuracy", "mean_class_accuracy", "mean_iou", "frequency_weighted_iou"):
            assert verdict["metrics"][split][name] == pytest.approx(expected[name], abs=1e-6)
