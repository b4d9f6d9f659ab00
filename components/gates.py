"""The gates of a model: what a configuration asks for, and the sentence for each outcome.

Pure: imports neither TFX nor TensorFlow, so that a configuration is refused at once. Whether a gate
is passed is not decided here but by TFMA's validation (see judge_model.py).
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from components.config import EvaluationConfig
from data.errors import Problem
from data.features import attribute_key
from trainer.confusion_matrix import SUMMARY_METRICS, metric_names

GateKind = Literal["floor", "max_drop"]

_SHOWN = 0.00005
"""Differences below it are 0.0000 in a sentence."""


@dataclass(frozen=True)
class Gate:
    """One bound on one metric of the gate's split."""

    metric: str
    split: str
    kind: GateKind
    bound: float


@dataclass(frozen=True)
class GateOutcome:
    """What became of a gate; ``value`` is None where the metric is undefined (a class that is absent)."""

    gate: Gate
    value: float | None
    baseline_value: float | None
    passed: bool
    sentence: str

    def to_json(self) -> dict[str, Any]:
        """Returns one flat JSON object: the gate's fields and the outcome's."""
        fields = {key: value for key, value in asdict(self).items() if key != "gate"}
        return {**asdict(self.gate), **fields}


def list_gates(config: EvaluationConfig) -> tuple[Gate, ...]:
    """Returns every gate of a configuration, floors first."""
    split = config.gate_split
    floors = [Gate(metric, split, "floor", bound) for metric, bound in config.gates.floors.items()]
    drops = [Gate(metric, split, "max_drop", bound) for metric, bound in config.gates.max_drop.items()]
    return (*floors, *drops)


def validate_gates(config: EvaluationConfig, class_names: Sequence[str]) -> list[Problem]:
    """Finds gates on metrics that do not exist.

    Args:
        config: the evaluation's configuration.
        class_names: names of the class table, in the order of the ids.

    Returns:
        A problem for each gate whose metric is neither a summary nor ``iou/<class>`` of a class in the
        table; its place is the key's full path.
    """
    known = metric_names(class_names)
    problems = []
    for gate in list_gates(config):
        if gate.metric in known:
            continue
        key = "floors" if gate.kind == "floor" else gate.kind
        problems.append(
            Problem(
                f"evaluation.gates.{key}.{gate.metric}",
                "names no metric",
                _suggest(gate.metric, known),
                "config_unknown_metric",
            )
        )
    return problems


def _suggest(metric: str, known: Sequence[str]) -> str:
    if close := difflib.get_close_matches(metric, known, n=1):
        return f"Did you mean {close[0]}?"
    return f"Take one of {', '.join(SUMMARY_METRICS)}, or iou/<class> with a class of the class table"


def slice_feature(name: str) -> str:
    """Returns the example's key that a name in ``evaluation.slices`` means.

    Names with a slash are keys as they are (``image/format``), others are attributes.
    """
    return name if "/" in name else attribute_key(name)


def explain_gate(
    gate: Gate, value: float | None, baseline_value: float | None, passed: bool, no_baseline: str = ""
) -> str:
    """Writes the outcome of a gate as one sentence.

    Args:
        gate: the gate.
        value: the metric of the evaluated model; None or nan where it is undefined.
        baseline_value: the metric of the pushed model, None or nan likewise.
        passed: the verdict.
        no_baseline: why there is nothing to compare with, empty where there is.
    """
    place = f"{gate.metric} on {gate.split}"
    if gate.kind == "max_drop" and no_baseline:
        return f"{place} was compared with nothing: {no_baseline}."
    if not _is_defined(value):
        return (
            f"{place} is undefined, so it cannot pass: no pixel of {gate.split} is of that class, in truth "
            f"or prediction. Add images with it to {gate.split}, or remove the gate."
        )
    if gate.kind == "floor":
        relation = "reaches" if passed else "is below"
        return f"{place} is {value:.4f} and {relation} its floor {gate.bound:.4f}."
    if not _is_defined(baseline_value):
        return f"{place} is {value:.4f}, but undefined for the pushed model, so it cannot be compared."
    assert value is not None and baseline_value is not None
    drop = baseline_value - value
    worse = "worse" if drop > 0 else "better"
    change = "as good as" if abs(drop) < _SHOWN else f"{abs(drop):.4f} {worse} than"
    limit = f"a drop of up to {gate.bound:.4f} is allowed" if passed else f"only {gate.bound:.4f} is allowed"
    return f"{place} is {value:.4f}, {change} the pushed model's {baseline_value:.4f}; {limit}."


def _is_defined(value: float | None) -> bool:
    return value is not None and not math.isnan(value)
