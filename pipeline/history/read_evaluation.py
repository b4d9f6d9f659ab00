"""What judged a run: the evaluation with its gates, the data gate and the smoke test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data.quarantine import QUARANTINE_FILE, QUARANTINED_PROPERTY
from pipeline.history.describe_runs import read_metrics
from pipeline.history.read_executions import ComponentExecution, find_output, read_parameters
from pipeline.history.read_files import (
    DAMAGE,
    GATE_FILE,
    METRICS_FILE,
    SMOKE_TEST_FILE,
    VERDICT_FILE,
    FileReader,
)
from pipeline.history.run_documents import (
    DataFinding,
    DataGateDocument,
    EvaluationDocument,
    GateDocument,
    QuarantineDocument,
    SmokeTestDocument,
    SplitResult,
)
from pipeline.tracking import RunRecord

_CLOCK_TOLERANCE_SECONDS = 2.0


def read_evaluation(
    executions: Sequence[ComponentExecution], run: RunRecord, files: FileReader
) -> EvaluationDocument | None:
    """Returns what the Evaluator found; None where the run did not get so far.

    metrics.json has the most to say; where it is gone, verdict.json has the metrics, and where that is
    gone too, the store itself has those of whole splits.
    """
    evaluation = find_output(executions, "Evaluator", "evaluation")
    blessing = find_output(executions, "Evaluator", "blessing")
    if evaluation is None and blessing is None and not run.metrics:
        return None
    metrics = files.read_json(evaluation, METRICS_FILE)
    verdict = files.read_json(blessing, VERDICT_FILE)
    for sound_metrics, sound_verdict in ((metrics, verdict), (metrics, {}), ({}, verdict)):
        try:
            document = _evaluation(sound_metrics, sound_verdict, run)
        except DAMAGE:
            continue
        for name, read, sound in (
            (METRICS_FILE, metrics, sound_metrics),
            (VERDICT_FILE, verdict, sound_verdict),
        ):
            if read and not sound:
                files.note_damage(name)
        return document
    files.note_damage(f"{METRICS_FILE} and {VERDICT_FILE}")
    return _evaluation({}, {}, run)


def _evaluation(metrics: Mapping[str, Any], verdict: Mapping[str, Any], run: RunRecord) -> EvaluationDocument:
    results = (
        _results(metrics.get("splits"), metrics.get("slices"))
        or _results(_with_counts(verdict), verdict.get("slices"))
        or _results({split: {"metrics": of} for split, of in run.metrics.items()}, None)
    )
    names = metrics.get("class_names") or list(results[0].metrics.iou if results else ())
    return EvaluationDocument(
        class_names=tuple(names),
        results=results,
        gates=tuple(read_gate(gate) for gate in verdict.get("gates") or ()),
        baseline_uri=(verdict.get("baseline") or {}).get("uri"),
        model_fingerprint=verdict.get("model_fingerprint"),
        notes=tuple(verdict.get("notes") or ()),
    )


def read_data_gate(executions: Sequence[ComponentExecution], files: FileReader) -> DataGateDocument | None:
    """Returns what the data gate saw, also where it stopped the run; None where it did not run."""
    report = files.read_json(find_output(executions, "DataGate", "report"), GATE_FILE)
    if not report and (path := _find_kept_report(executions)):
        report = files.read_json_file(str(path))
    return files.attempt(GATE_FILE, lambda: _data_gate(report)) if report else None


def read_quarantine(executions: Sequence[ComponentExecution], files: FileReader) -> QuarantineDocument | None:
    """Returns what was left out of the data; None where nothing may be, or ingest did not get so far."""
    examples = find_output(executions, "SegmentationExampleGen", "examples")
    if examples is None or QUARANTINED_PROPERTY not in examples.custom_properties:
        return None
    report = files.read_json(examples, QUARANTINE_FILE)
    return (
        files.attempt(QUARANTINE_FILE, lambda: QuarantineDocument.model_validate(report)) if report else None
    )


def read_smoke_test(executions: Sequence[ComponentExecution], files: FileReader) -> SmokeTestDocument | None:
    """Returns what the smoke test found; None where it did not run."""
    report = files.read_json(find_output(executions, "ServingSmokeTest", "blessing"), SMOKE_TEST_FILE)
    return files.attempt(SMOKE_TEST_FILE, lambda: _smoke_test(report)) if report else None


def _data_gate(report: Mapping[str, Any]) -> DataGateDocument:
    return DataGateDocument(
        passed=bool(report.get("passed")),
        findings=tuple(_finding(finding) for finding in report.get("findings") or ()),
        examples=dict(report.get("examples") or {}),
        limits=dict(report.get("limits") or {}),
        near_duplicates=report.get("near_duplicates"),
        notes=tuple(report.get("notes") or ()),
    )


def _smoke_test(report: Mapping[str, Any]) -> SmokeTestDocument:
    passed = report.get("blessed")
    return SmokeTestDocument(
        passed=None if passed is None else bool(passed), reasons=tuple(report.get("reasons") or ())
    )


def _results(splits: Mapping[str, Any] | None, slices: Sequence[Any] | None) -> tuple[SplitResult, ...]:
    of_splits = [_result({**values, "split": split}) for split, values in (splits or {}).items()]
    return (*of_splits, *(_result(values) for values in slices or ()))


def _result(values: Mapping[str, Any]) -> SplitResult:
    matrix = values.get("confusion_matrix")
    return SplitResult(
        split=values["split"],
        features=dict(values.get("features") or {}),
        num_images=values.get("num_images"),
        metrics=read_metrics(values.get("metrics") or {}),
        confusion_matrix=None if matrix is None else tuple(tuple(row) for row in matrix),
    )


def _with_counts(verdict: Mapping[str, Any]) -> dict[str, Any]:
    counts = verdict.get("num_images") or {}
    return {
        split: {"metrics": metrics, "num_images": counts.get(split)}
        for split, metrics in (verdict.get("metrics") or {}).items()
    }


def read_gate(values: Mapping[str, Any]) -> GateDocument:
    """Returns one gate of a verdict."""
    return GateDocument(**{key: values.get(key) for key in GateDocument.model_fields})


def _finding(values: Mapping[str, Any]) -> DataFinding:
    return DataFinding(
        check=str(values.get("check", "")),
        split=str(values.get("split", "")),
        feature=str(values.get("feature", "")),
        what=str(values.get("what", "")),
        image_ids=tuple(values.get("image_ids") or ()),
        total=values.get("total"),
    )


def _find_kept_report(executions: Sequence[ComponentExecution]) -> Path | None:
    """Returns the report of a gate that stopped the run.

    What fails leaves no artifact, so the gate keeps its report in a folder of its own. It is the one that
    was written while the gate ran.
    """
    for one in executions:
        if one.node == "DataGate" and one.state == "failed":
            folder = Path(str(read_parameters(one.execution).get("report_dir", "")))
            started = one.execution.create_time_since_epoch / 1000 - _CLOCK_TOLERANCE_SECONDS
            ended = one.execution.last_update_time_since_epoch / 1000 + _CLOCK_TOLERANCE_SECONDS
            found = [
                path for path in folder.glob("data-gate-*.json") if started <= path.stat().st_mtime <= ended
            ]
            return max(found, key=lambda path: path.stat().st_mtime, default=None)
    return None
