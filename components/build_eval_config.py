"""TFMA's configuration from ours: one pass over the splits, sliced by split, gates on one of them."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tensorflow_model_analysis.proto import config_pb2

from components.config import EvaluationConfig
from components.confusion_matrix_metric import ConfusionMatrixMetric
from components.gates import Gate, list_gates, slice_feature
from data.features import IMAGE_SPLIT, MASK_ENCODED

EVALUATE_SIGNATURE = "evaluate"

ROUNDING = 1e-12
"""Slack of a drop's bound: 0.80 - 0.81 is a little less than -0.01 in floating point."""


def build_eval_config(
    config: EvaluationConfig, class_names: Sequence[str], code_fingerprint: str
) -> config_pb2.EvalConfig:
    """Builds the EvalConfig: the metrics, the slices, and the gates as thresholds.

    Args:
        config: splits, slices and gates; the gates' metrics must exist (``gates.validate_gates``).
        class_names: names of the classes in the order of their ids.
        code_fingerprint: of our source, so that edited code is another evaluation to the cache.
    """
    metrics = []
    gates = list_gates(config)
    # One of them computes all the numbers, and there is one: a configuration has a floor.
    for name in dict.fromkeys(gate.metric for gate in gates):
        metric = config_pb2.MetricConfig(
            class_name=ConfusionMatrixMetric.__name__,
            module=ConfusionMatrixMetric.__module__,
            config=json.dumps(
                {"name": name, "class_names": list(class_names), "code_fingerprint": code_fingerprint}
            ),
        )
        metric.per_slice_thresholds.append(_build_threshold([gate for gate in gates if gate.metric == name]))
        metrics.append(metric)
    count = config_pb2.MetricConfig(class_name="ExampleCount", config=json.dumps({"name": "example_count"}))
    return config_pb2.EvalConfig(
        # The type is named, or TFMA tries to load the model as a Keras model first.
        model_specs=[
            config_pb2.ModelSpec(
                signature_name=EVALUATE_SIGNATURE, label_key=MASK_ENCODED, model_type="tf_generic"
            )
        ],
        metrics_specs=[config_pb2.MetricsSpec(metrics=[count, *metrics])],
        slicing_specs=[
            config_pb2.SlicingSpec(feature_keys=[IMAGE_SPLIT]),
            *(
                config_pb2.SlicingSpec(feature_keys=[IMAGE_SPLIT, *(slice_feature(name) for name in names)])
                for names in config.slices
            ),
        ],
    )


def _build_threshold(gates: Sequence[Gate]) -> config_pb2.PerSliceMetricThreshold:
    """Builds the bounds of one metric; they hold for the gate's split as a whole, not within slices."""
    threshold = config_pb2.MetricThreshold()
    for gate in gates:
        if gate.kind == "floor":
            threshold.value_threshold.lower_bound.value = gate.bound
        else:
            threshold.change_threshold.absolute.value = -gate.bound - ROUNDING
            threshold.change_threshold.direction = config_pb2.MetricDirection.HIGHER_IS_BETTER
    return config_pb2.PerSliceMetricThreshold(
        slicing_specs=[config_pb2.SlicingSpec(feature_values={IMAGE_SPLIT: gates[0].split})],
        threshold=threshold,
    )
