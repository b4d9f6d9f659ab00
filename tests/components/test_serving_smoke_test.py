"""The smoke test really run: its fresh process, a model that keeps the contract, and ones that do not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def smoke_test(
    tmp_path: Path, write_examples: Callable[..., Any], scenes: Any
) -> Callable[..., tuple[dict[str, Any], Any]]:
    """Runs the executor on a model; returns smoke_test.json and the blessing."""

    def run(
        model: Any, splits: Any = scenes, num_classes: int = 4, timeout_seconds: float = 120.0
    ) -> tuple[dict[str, Any], Any]:
        from tfx.types import standard_artifacts

        from components.serving_smoke_test import Executor

        blessing = standard_artifacts.InfraBlessing()
        blessing.uri = str(tmp_path / "blessing")
        Executor().Do(
            {"model": [model], "examples": [write_examples(tmp_path / "examples", splits)]},
            {"blessing": [blessing]},
            {
                "smoke_test_config": '{"images": 3}',
                "split": "test",
                "num_classes": num_classes,
                "ignore_id": 255,
                "timeout_seconds": timeout_seconds,
                "code_fingerprint": "code-1",
            },
        )
        return json.loads((tmp_path / "blessing/smoke_test.json").read_text()), blessing

    return run


def is_blessed(blessing: Any) -> bool:
    from tfx.components.util.model_utils import is_infra_validated

    blessed = bool(is_infra_validated(blessing))
    assert (Path(blessing.uri) / "INFRA_BLESSED").exists() == blessed
    assert (Path(blessing.uri) / "INFRA_NOT_BLESSED").exists() != blessed
    return blessed


def test_a_model_that_keeps_the_contract_is_blessed(
    smoke_test: Any, write_model: Any, tmp_path: Path
) -> None:
    report, blessing = smoke_test(write_model(tmp_path / "model"))

    assert report["reasons"] == []
    assert is_blessed(blessing)
    names = {check["name"] for check in report["checks"]}
    for signature in ("serving_default", "image_tensor", "serve_examples", "evaluate"):
        assert f"{signature} is as agreed" in names
        assert f"{signature}, test-1" in names
    for made_up in ("one row", "one column", "RGBA PNG", "16-bit grey PNG", "grey JPEG", "palette PNG"):
        assert {f"serving_default, {made_up}", f"evaluate, {made_up}"} <= names


def test_a_model_that_does_not_answer_in_time_is_refused(
    smoke_test: Any, write_model: Any, tmp_path: Path
) -> None:
    report, blessing = smoke_test(write_model(tmp_path / "model"), timeout_seconds=0.5)

    assert not is_blessed(blessing)
    assert len(report["reasons"]) == 1
    assert "the process was killed" in report["reasons"][0]


def test_what_a_dying_process_said_is_kept(tmp_path: Path) -> None:
    from components.serving_smoke_test import run_process

    job = tmp_path / "job.json"
    job.write_text("no JSON")

    (check,) = run_process(job, tmp_path / "report.json", 60)

    assert check["name"] == "survives"
    assert not check["passed"]
    assert "code 1" in check["detail"]
    assert "JSONDecodeError" in check["detail"]


def test_a_split_without_images_is_refused(
    smoke_test: Any, write_model: Any, scenes: Any, tmp_path: Path
) -> None:
    report, blessing = smoke_test(write_model(tmp_path / "model"), splits={**scenes, "test": []})

    assert not is_blessed(blessing)
    assert report["reasons"] == ["examples: the split test has no images to send"]


@pytest.fixture
def check(tmp_path: Path, small: Any, scenes: Any) -> Callable[..., dict[str, str]]:
    """Runs the checks in this process; returns the failed ones' details by name."""

    def run(model: Any, num_classes: int = 4) -> dict[str, str]:
        from components.smoke_test_cases import make_cases
        from components.smoke_test_process import main

        examples = [small.serialize(scenes["test"][0], "test", "test-0")]
        cases = [case.save(tmp_path, number) for number, case in enumerate(make_cases(examples, 4, 255))]
        job = {
            "model_dir": f"{model.uri}/Format-Serving",
            "cases": cases,
            "num_classes": num_classes,
            "ignore_id": 255,
            "report": str(tmp_path / "report.json"),
        }
        (tmp_path / "job.json").write_text(json.dumps(job))
        main(str(tmp_path / "job.json"))
        checks = json.loads((tmp_path / "report.json").read_text())
        assert len(checks) > 0
        return {check["name"]: check["detail"] for check in checks if not check["passed"]}

    return run


def test_class_ids_beyond_the_table_are_found(check: Any, write_model: Any, tmp_path: Path) -> None:
    failed = check(write_model(tmp_path / "model"), num_classes=2)

    assert "class ids up to 2 of 1" in failed["serving_default, odd sizes"]


def test_a_folder_without_a_model_is_found(check: Any, tmp_path: Path) -> None:
    from tfx.types import standard_artifacts

    model = standard_artifacts.Model()
    model.uri = str(tmp_path / "nothing")

    assert list(check(model)) == ["loads"]


def test_a_missing_signature_is_found(check: Any, write_model: Any, tmp_path: Path) -> None:
    failed = check(
        write_model(tmp_path / "model", change=lambda _, signatures: signatures.pop("image_tensor"))
    )

    assert list(failed) == ["image_tensor is there"]


def test_another_output_is_found(check: Any, write_model: Any, tmp_path: Path) -> None:
    import tensorflow as tf

    def change(module: Any, signatures: dict[str, Any]) -> None:
        @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, "image_tensor")])
        def image_tensor(image_tensor: Any) -> Any:
            answer = module.image_tensor(image_tensor)
            return {**answer, "class_ids": tf.cast(answer["class_ids"], tf.int32)}

        signatures["image_tensor"] = module.other = image_tensor

    failed = check(write_model(tmp_path / "model", change=change))

    assert list(failed) == ["image_tensor is as agreed"]
    assert "class_ids: int32" in failed["image_tensor is as agreed"]


def test_an_evaluation_that_counts_otherwise_is_found(check: Any, write_model: Any, tmp_path: Path) -> None:
    import tensorflow as tf

    def change(module: Any, signatures: dict[str, Any]) -> None:
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
        def evaluate(examples: Any) -> Any:
            return {
                "confusion_matrix": tf.transpose(module.evaluate(examples)["confusion_matrix"], [0, 2, 1])
            }

        signatures["evaluate"] = module.other = evaluate

    failed = check(write_model(tmp_path / "model", change=change))

    assert "evaluate, test-0" in failed
    assert all(name.startswith("evaluate, ") for name in failed)


def test_masks_of_another_size_and_bad_confidences_are_found(
    check: Any, write_model: Any, tmp_path: Path
) -> None:
    import tensorflow as tf

    def change(module: Any, signatures: dict[str, Any]) -> None:
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
        def serve(image_bytes: Any) -> Any:
            square = tf.io.encode_png(tf.zeros([8, 8, 1], tf.uint8))
            count = tf.shape(image_bytes)
            return {
                "mask_png_bytes": tf.fill(count, square),
                "mean_confidence": tf.fill(count, np.float32("nan")),
            }

        signatures["serving_default"] = module.other = serve

    failed = check(write_model(tmp_path / "model", change=change))

    assert failed["serving_default, odd sizes"] == "the mask is (8, 8) for an image of (37, 53)"
    assert "image_tensor is as agreed" not in failed


def test_a_signature_that_raises_is_found(check: Any, write_model: Any, tmp_path: Path) -> None:
    import tensorflow as tf

    def change(module: Any, signatures: dict[str, Any]) -> None:
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
        def evaluate(examples: Any) -> Any:
            tf.debugging.assert_less(tf.shape(examples)[0], 1, "no batch is good enough")
            return module.evaluate(examples)

        signatures["evaluate"] = module.other = evaluate

    failed = check(write_model(tmp_path / "model", change=change))

    assert any("no batch is good enough" in detail for detail in failed.values())


@pytest.mark.parametrize(
    ("large", "small", "sizes"), [(0, 20, [7, 7, 6]), (2, 10, [6, 6]), (5, 3, [2, 2, 2, 1, 1]), (1, 0, [1])]
)
def test_no_batch_holds_two_large_images(large: int, small: int, sizes: list[int]) -> None:
    from components.smoke_test_process import cut

    cases = [{"height_px": 10, "width_px": 10}] * small + [{"height_px": 4000, "width_px": 6000}] * large

    batches = list(cut(cases, 8))

    assert [len(batch) for batch in batches] == sizes
    assert all(sum(case["height_px"] == 4000 for case in batch) <= 1 for batch in batches)
