"""Collects what the components of a run left into the facts of its page. Imports no TFX."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.config import EvaluationConfig
from components.report import read_data, read_scores, read_training
from components.report.facts import ImageResults, RunFacts, Score
from data.classes import ClassTable, build_class_table
from data.config import DataConfig


@dataclass(frozen=True)
class RunSources:
    """Where the components left what; None or empty for those that left nothing.

    Attributes:
        configuration: the whole configuration as JSON values.
        run_id: of the run.
        evaluation: folder with metrics.json.
        blessing: folder with verdict.json.
        smoke_test: folder with smoke_test.json.
        model: folder of the SavedModel.
        model_run: folder with history.jsonl and training.json.
        statistics: StatisticsGen's folders, by split.
        anomalies: ExampleValidator's folders, by split.
        gate_report: folder with the data gate's report.json.
        examples: TFRecord files of raw examples, by split.
        pushed_model: folder with a copy of the manifest.
        pushed: the Pusher's properties.
    """

    configuration: Mapping[str, Any]
    run_id: str = ""
    evaluation: str | None = None
    blessing: str | None = None
    smoke_test: str | None = None
    model: str | None = None
    model_run: str | None = None
    statistics: Mapping[str, str] = field(default_factory=dict)
    anomalies: Mapping[str, str] = field(default_factory=dict)
    gate_report: str | None = None
    examples: Mapping[str, list[str]] = field(default_factory=dict)
    pushed_model: str | None = None
    pushed: Mapping[str, Any] | None = None


def collect_facts(sources: RunSources, max_ranked: int | None = None) -> RunFacts:
    """Reads all that a run left.

    What is missing is said in ``missing``, never raised: by the time of the report the run is decided.

    Args:
        sources: where everything is.
        max_ranked: score at most so many images one by one; None for the usual limit.
    """
    config = sources.configuration
    classes = build_class_table(DataConfig.model_validate_json(_dump(config["data"])))
    evaluation = EvaluationConfig.model_validate_json(_dump(config.get("evaluation") or {}))
    verdict = read_scores.read_json(sources.blessing, read_scores.VERDICT_FILE)
    metrics = read_scores.read_json(sources.evaluation, read_scores.METRICS_FILE)
    smoke_test = read_scores.read_json(sources.smoke_test, read_scores.SMOKE_TEST_FILE)
    manifest = read_scores.read_json(sources.pushed_model, read_scores.MANIFEST_FILE)
    gate_report = read_scores.read_json(sources.gate_report, "report.json")
    training = read_scores.read_json(sources.model_run, read_training.SUMMARY_FILE)
    names = classes.names
    data = read_data.read_contents(sources.statistics, names)
    images, problem = _choose(sources, classes, evaluation.gate_split, max_ranked)
    history = read_training.read_history(sources.model_run)
    missing = {
        "The evaluation left no verdict.": bool(verdict),
        "The evaluation left no confusion matrices.": bool(metrics),
        "The training left no history.": bool(history),
        "There are no statistics of the data.": bool(data),
        problem: not problem,
    }
    return RunFacts(
        name=str(config.get("name") or "segmentation"),
        run_id=sources.run_id,
        classes=classes,
        gate_split=evaluation.gate_split,
        verdict=read_scores.read_verdict(verdict, smoke_test, sources.pushed),
        splits=_read_splits(verdict, metrics, names),
        slices=read_scores.read_slices(verdict or metrics, names),
        baseline=read_scores.read_baseline(verdict, metrics, names),
        history=history,
        training=training,
        data=data,
        findings=read_data.read_findings(sources.anomalies) + read_data.read_gate_report(gate_report),
        validated_splits=tuple(sorted(sources.anomalies, key=read_data.split_order)),
        images=images,
        fingerprints=_list_fingerprints(verdict, manifest),
        configuration=config,
        environment={str(key): str(value) for key, value in (manifest.get("stack") or {}).items()},
        missing=tuple(sentence for sentence, is_there in missing.items() if not is_there),
    )


def _dump(section: Any) -> str:
    return json.dumps(section)


def _read_splits(
    verdict: Mapping[str, Any], metrics: Mapping[str, Any], names: Sequence[str]
) -> tuple[Score, ...]:
    scores = read_scores.read_splits(metrics, names) or read_scores.read_verdict_splits(verdict, names)
    return tuple(sorted(scores, key=lambda score: read_data.split_order(score.name)))


def _list_fingerprints(verdict: Mapping[str, Any], manifest: Mapping[str, Any]) -> dict[str, str]:
    found = {
        "Data": verdict.get("data_fingerprint") or manifest.get("data_fingerprint"),
        "Training code": manifest.get("code_fingerprint"),
        "Evaluation code": verdict.get("code_fingerprint"),
        "Model": verdict.get("model_fingerprint") or manifest.get("model_fingerprint"),
    }
    return {label: str(value) for label, value in found.items() if value}


def _choose(
    sources: RunSources, classes: ClassTable, split: str, max_ranked: int | None
) -> tuple[ImageResults | None, str]:
    """Returns the images, or why there are none."""
    files = sources.examples.get(split)
    if not sources.model or not files:
        return None, f"No image is shown: there is no model or no example of {split}."
    # It takes seconds to import.
    from components.report.choose_images import MAX_RANKED, choose_images

    try:
        return choose_images(sources.model, files, split, classes, max_ranked or MAX_RANKED), ""
    except Exception as error:
        # The model is judged and perhaps served by now: a page without pictures beats a failed run.
        logging.getLogger(__name__).exception("the report shows no images")
        return None, f"No image is shown: the model failed on {split} ({type(error).__name__}: {error})."
