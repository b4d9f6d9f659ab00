"""The verdict on a model: TFMA's validation, gate by gate, in sentences and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from components.baseline_reference import BaselineReference
from components.config import EvaluationConfig
from components.evaluation_results import GateFailures, SliceResult
from components.gates import Gate, GateOutcome, explain_gate, list_gates


@dataclass(frozen=True)
class Verdict:
    """Whether a model has earned its push, and why."""

    blessed: bool
    outcomes: tuple[GateOutcome, ...]


def judge_model(
    config: EvaluationConfig,
    results: Sequence[SliceResult],
    baseline_results: Sequence[SliceResult],
    failures: GateFailures,
    baseline: BaselineReference,
) -> Verdict:
    """Takes TFMA's validation apart into one outcome a gate.

    A gate is passed if TFMA did not refuse it. Undefined metrics (of a class that does not occur) are
    refused, as a bound on nothing bounds nothing. Without a single image in the gate's split nothing
    passes, whatever TFMA says.
    """
    candidate = _whole_split(results, config.gate_split)
    pushed = _whole_split(baseline_results, config.gate_split)
    no_images = candidate is None or candidate.num_images == 0 or failures.split_was_missing
    outcomes = []
    for gate in list_gates(config):
        passed = not no_images and (gate.metric, gate.kind == "max_drop") not in failures.failed
        outcome = _describe(gate, candidate, pushed, passed, baseline)
        if no_images:
            outcome = replace(outcome, sentence=f"{gate.metric} on {gate.split}: no image was evaluated.")
        outcomes.append(outcome)
    blessed = failures.validation_ok and bool(outcomes) and all(outcome.passed for outcome in outcomes)
    return Verdict(blessed, tuple(outcomes))


def _describe(
    gate: Gate,
    candidate: SliceResult | None,
    pushed: SliceResult | None,
    passed: bool,
    baseline: BaselineReference,
) -> GateOutcome:
    value = candidate.metrics[gate.metric] if candidate else None
    pushed_value = pushed.metrics[gate.metric] if pushed else None
    sentence = explain_gate(gate, value, pushed_value, passed, no_baseline=baseline.reason)
    return GateOutcome(gate, _none_if_nan(value), _none_if_nan(pushed_value), passed, sentence)


def _whole_split(results: Sequence[SliceResult], split: str) -> SliceResult | None:
    return next((result for result in results if result.split == split and not result.features), None)


def _none_if_nan(value: float | None) -> float | None:
    return None if value is None or value != value else value


def verdict_to_json(
    verdict: Verdict,
    results: Sequence[SliceResult],
    class_names: Sequence[str],
    facts: Mapping[str, Any],
    notes: Sequence[str],
) -> dict[str, Any]:
    """Returns the content of verdict.json.

    Args:
        verdict: the verdict.
        results: of the judged model.
        class_names: names of the classes in the order of their ids.
        facts: further keys: fingerprints, the baseline.
        notes: sentences that a reader should see beside the gates.
    """
    whole = {result.split: result for result in results if not result.features}
    return {
        "blessed": verdict.blessed,
        "gates": [outcome.to_json() for outcome in verdict.outcomes],
        "metrics": {
            split: result.to_json(class_names, with_matrix=False)["metrics"]
            for split, result in whole.items()
        },
        "num_images": {split: result.num_images for split, result in whole.items()},
        "slices": [result.to_json(class_names, with_matrix=False) for result in results if result.features],
        **facts,
        "notes": list(notes),
    }


def metrics_to_json(
    results: Sequence[SliceResult], baseline_results: Sequence[SliceResult], class_names: Sequence[str]
) -> dict[str, Any]:
    """Returns the content of metrics.json: every split and slice with its whole confusion matrix."""

    def group(of: Sequence[SliceResult]) -> dict[str, Any]:
        return {
            "splits": {r.split: r.to_json(class_names, with_matrix=True) for r in of if not r.features},
            "slices": [r.to_json(class_names, with_matrix=True) for r in of if r.features],
        }

    baseline = group(baseline_results) if baseline_results else None
    return {"class_names": list(class_names), **group(results), "baseline": baseline}
