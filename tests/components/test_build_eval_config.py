"""TFMA's configuration, the metric behind it, and the batches on their way to the model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from components.config import EvaluationConfig, GatesConfig

pytestmark = pytest.mark.slow

CLASSES = ("ground", "tree")
CONFIG = EvaluationConfig(
    gates=GatesConfig(floors={"mean_iou": 0.5, "iou/tree": 0.2}, max_drop={"mean_iou": 0.01})
)


def build(config: EvaluationConfig = CONFIG, code: str = "code-1") -> Any:
    from components.build_eval_config import build_eval_config

    return build_eval_config(config, CLASSES, code)


def test_tfma_finds_every_gate_on_the_gate_split_only() -> None:
    from tensorflow_model_analysis.metrics.metric_specs import metric_thresholds_from_metrics_specs

    thresholds = metric_thresholds_from_metrics_specs(build().metrics_specs)

    found = {
        (key.name, key.is_diff, dict(slice_spec.feature_values)["image/split"])
        for key, bounds in thresholds.items()
        for slice_spec, _ in bounds
    }
    assert found == {
        ("mean_iou", False, "test"),
        ("iou/tree", False, "test"),
        ("mean_iou", True, "test"),
    }


def test_an_edit_of_the_code_or_of_a_bound_is_another_configuration() -> None:
    other = CONFIG.model_copy(update={"gates": GatesConfig(floors={"mean_iou": 0.51})})
    texts = {build(CONFIG).SerializeToString(deterministic=True) for _ in range(2)}
    texts |= {build(other).SerializeToString(deterministic=True)}
    texts |= {build(CONFIG, "code-2").SerializeToString(deterministic=True)}

    assert len(texts) == 3


def test_slices_are_crossed_with_the_split() -> None:
    config = CONFIG.model_copy(update={"slices": (("weather",), ("image/format", "site"))})

    assert [list(spec.feature_keys) for spec in build(config).slicing_specs] == [
        ["image/split"],
        ["image/split", "attribute/weather"],
        ["image/split", "image/format", "attribute/site"],
    ]


def test_matrices_add_up_in_any_grouping() -> None:
    from tensorflow_model_analysis.metrics import MetricKey

    from components.confusion_matrix_metric import _SumMatricesFn

    combine = _SumMatricesFn(MetricKey("m"), 2)
    parts = [np.array([[i, 1], [0, 2]]) for i in range(5)]
    groups = []
    for group in (parts[:2], [], parts[2:]):
        accumulator = combine.create_accumulator()
        for part in group:
            accumulator = combine.add_input(accumulator, part)
        groups.append(accumulator)

    (total,) = combine.extract_output(combine.merge_accumulators(groups)).values()

    assert total.tolist() == [[10, 5], [0, 10]]
    assert total.dtype == np.int64


def test_a_matrix_of_other_classes_is_refused() -> None:
    from tensorflow_model_analysis.metrics import MetricKey

    from components.confusion_matrix_metric import _SumMatricesFn

    combine = _SumMatricesFn(MetricKey("m"), 2)

    with pytest.raises(ValueError, match=r"shape \(3, 3\) an image, but the class table has 2 classes"):
        combine.add_input(combine.create_accumulator(), np.zeros((3, 3)))


def test_a_metric_that_does_not_exist_is_refused() -> None:
    from components.confusion_matrix_metric import ConfusionMatrixMetric

    with pytest.raises(ValueError, match="iou/bush is not a metric"):
        ConfusionMatrixMetric("iou/bush", CLASSES)


def test_batches_are_cut_and_lose_the_columns_that_nobody_reads() -> None:
    import pyarrow as pa
    import tensorflow_model_analysis as tfma

    from components.evaluation_hooks import cut_batch

    columns = {
        tfma.ARROW_INPUT_COLUMN: [[b"%d" % i] for i in range(5)],
        "image/encoded": [[b"pixels"]] * 5,
        "image/split": [[b"test"]] * 5,
    }
    batch = pa.RecordBatch.from_pydict(columns)

    pieces = list(cut_batch({tfma.ARROW_RECORD_BATCH_KEY: batch}, ["image/split", "attribute/absent"], 2))

    records = [piece[tfma.ARROW_RECORD_BATCH_KEY] for piece in pieces]
    assert [record.num_rows for record in records] == [2, 2, 1]
    assert all(record.schema.names == [tfma.ARROW_INPUT_COLUMN, "image/split"] for record in records)
    inputs = [value for record in records for value in record.column(0).to_pylist()]
    assert inputs == columns[tfma.ARROW_INPUT_COLUMN]


def test_large_images_are_evaluated_one_by_one() -> None:
    import pyarrow as pa
    import tensorflow_model_analysis as tfma

    from components.evaluation_hooks import cut_batch

    columns = {
        tfma.ARROW_INPUT_COLUMN: [[b"%d" % i] for i in range(4)],
        "image/height_px": [[4000], [4000], [10], [10]],
        "image/width_px": [[6000], [6000], [10], [10]],
    }
    batch = pa.RecordBatch.from_pydict(columns)

    pieces = list(cut_batch({tfma.ARROW_RECORD_BATCH_KEY: batch}, [], 16))

    records = [piece[tfma.ARROW_RECORD_BATCH_KEY].column(0).to_pylist() for piece in pieces]
    assert records == [[[b"0"]], [[b"1"], [b"2"], [b"3"]]]
