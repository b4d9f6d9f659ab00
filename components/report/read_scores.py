"""Reads what the Evaluator, the smoke test and the Pusher left. Imports neither TFX nor TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from components.report.facts import Baseline, GateResult, Score, Verdict
from components.report.format_values import defined
from data.features import attribute_key
from data.open_files import exists, join_path, read_bytes
from trainer.confusion_matrix import SUMMARY_METRICS

VERDICT_FILE = "verdict.json"
METRICS_FILE = "metrics.json"
SMOKE_TEST_FILE = "smoke_test.json"
MANIFEST_FILE = "manifest.json"


def read_json(folder: str | None, name: str) -> dict[str, Any]:
    """Returns the JSON object in a folder's file; empty if there is no such folder or file."""
    if not folder or not exists(path := join_path(folder, name)):
        return {}
    document = json.loads(read_bytes(path))
    return document if isinstance(document, dict) else {}


def read_verdict(
    verdict: Mapping[str, Any], smoke_test: Mapping[str, Any], pushed: Mapping[str, Any] | None
) -> Verdict:
    """Returns the verdict.

    Args:
        verdict: the Evaluator's verdict.json.
        smoke_test: smoke_test.json.
        pushed: ``pushed`` (0 or 1), ``pushed_version`` and ``pushed_destination`` of the Pusher's
            artifact; None without it.
    """
    return Verdict(
        blessed=_flag(verdict.get("blessed")),
        smoke_test_passed=_flag(smoke_test.get("blessed")),
        pushed=None if pushed is None else bool(pushed.get("pushed")),
        pushed_version=str((pushed or {}).get("pushed_version") or ""),
        pushed_uri=str((pushed or {}).get("pushed_destination") or ""),
        gates=tuple(_read_gate(gate) for gate in verdict.get("gates") or ()),
        notes=tuple(str(note) for note in verdict.get("notes") or ()),
        smoke_test_reasons=tuple(str(reason) for reason in smoke_test.get("reasons") or ()),
        images_per_second=defined(smoke_test.get("images_per_second")),
    )


def _flag(value: Any) -> bool | None:
    return None if value is None else bool(value)


def _read_gate(gate: Mapping[str, Any]) -> GateResult:
    return GateResult(
        metric=str(gate["metric"]),
        split=str(gate["split"]),
        kind=str(gate["kind"]),
        bound=float(gate["bound"]),
        value=defined(gate.get("value")),
        baseline_value=defined(gate.get("baseline_value")),
        passed=bool(gate["passed"]),
        sentence=str(gate["sentence"]),
    )


def read_splits(metrics: Mapping[str, Any], class_names: Sequence[str]) -> tuple[Score, ...]:
    """Returns the scores of the splits in metrics.json, or in its ``baseline``."""
    splits = metrics.get("splits") or {}
    return tuple(_read_score(name, entry, class_names) for name, entry in splits.items())


def read_verdict_splits(verdict: Mapping[str, Any], class_names: Sequence[str]) -> tuple[Score, ...]:
    """Returns the scores of the splits in verdict.json, which has no matrices."""
    images = verdict.get("num_images") or {}
    return tuple(
        _read_score(name, {"metrics": entry, "num_images": images.get(name)}, class_names)
        for name, entry in (verdict.get("metrics") or {}).items()
    )


def read_slices(document: Mapping[str, Any], class_names: Sequence[str]) -> tuple[Score, ...]:
    """Returns the scores of the slices in metrics.json or verdict.json."""
    return tuple(
        _read_score(_name_slice(entry), entry, class_names) for entry in document.get("slices") or ()
    )


def read_baseline(
    verdict: Mapping[str, Any], metrics: Mapping[str, Any], class_names: Sequence[str]
) -> Baseline | None:
    """Returns the served model's scores; None if there was no such model."""
    described, scored = verdict.get("baseline"), metrics.get("baseline")
    if not described and not scored:
        return None
    version = (described or {}).get("version")
    name = f"version {version}" if version is not None else "the pushed model"
    scores = read_splits(scored or {}, class_names)
    return Baseline(name, {score.name: score for score in scores})


def _name_slice(entry: Mapping[str, Any]) -> str:
    prefix = attribute_key("")
    features = entry.get("features") or {}
    parts = [f"{str(name).removeprefix(prefix)} = {value}" for name, value in features.items()]
    return ", ".join([str(entry.get("split", "")), *parts])


def _read_score(name: str, entry: Mapping[str, Any], class_names: Sequence[str]) -> Score:
    metrics = entry.get("metrics") or {}
    iou = metrics.get("iou") or {}
    matrix = entry.get("confusion_matrix")
    images = defined(entry.get("num_images"))
    return Score(
        name=name,
        summary={metric: defined(metrics.get(metric)) for metric in SUMMARY_METRICS},
        iou=tuple(defined(iou.get(class_name)) for class_name in class_names),
        matrix=None if matrix is None else np.array(matrix, np.int64),
        num_images=None if images is None else int(images),
    )
