"""Collects what the components of a run left into the facts of its page. Imports no TFX."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from components.config import EvaluationConfig
from components.report import read_data, read_scores, read_training, read_tuning
from components.report.facts import Finding, ImageResults, RunFacts, RunOutcome, Score, Verdict
from components.report.keep_images import IMAGES_FILE, read_images
from components.report.lineage import Lineage, MadeArtifact, trace_lineage
from data.classes import ClassTable, build_class_table
from data.config import ClassConfig, DataConfig
from data.open_files import exists, join_path

T = TypeVar("T")


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
        tuner_results: folder with trials.json.
        statistics: StatisticsGen's folders, by split.
        anomalies: ExampleValidator's folders, by split.
        gate_report: folder with the data gate's report.json.
        gate: that report itself, where a gate stopped the run and so left no artifact.
        examples: TFRecord files of raw examples, by split.
        examples_folder: the artifact that they are in, with quarantine.json if examples may be left out.
        pushed_model: folder with a copy of the manifest.
        pushed: the Pusher's properties.
        report: folder of an earlier page of this run, with its images.
        metrics: of each split, as the metadata store has them: for want of the files.
        made: artifacts on the way from the model back to the images, by role (see ``trace_lineage``).
        fingerprints: of the configuration, the source code and the environment, by label.
        environment: versions of the software, by name.
        outcome: what the metadata store says of the run.
        gone: a sentence for each artifact whose files were deleted.
    """

    configuration: Mapping[str, Any]
    run_id: str = ""
    evaluation: str | None = None
    blessing: str | None = None
    smoke_test: str | None = None
    model: str | None = None
    model_run: str | None = None
    tuner_results: str | None = None
    statistics: Mapping[str, str] = field(default_factory=dict)
    anomalies: Mapping[str, str] = field(default_factory=dict)
    gate_report: str | None = None
    gate: Mapping[str, Any] = field(default_factory=dict)
    examples: Mapping[str, list[str]] = field(default_factory=dict)
    examples_folder: str | None = None
    pushed_model: str | None = None
    pushed: Mapping[str, Any] | None = None
    report: str | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    made: Mapping[str, MadeArtifact] = field(default_factory=dict)
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    outcome: RunOutcome | None = None
    gone: Sequence[str] = ()


def collect_facts(sources: RunSources, max_ranked: int | None = None, score_images: bool = True) -> RunFacts:
    """Reads all that a run left.

    What is missing or damaged is said in ``missing``, never raised: by the time of the report the run is
    decided.

    Args:
        sources: where everything is.
        max_ranked: score at most so many images one by one; None for the usual limit.
        score_images: run the model for the worst and middling images, where no earlier page has kept
            them. That takes TensorFlow.
    """
    files = _Files(sources)
    config = sources.configuration
    classes = files.attempt("the class table", lambda: _read_classes(sources, files), ClassTable((), 255))
    names = classes.names
    gate_split = _read_gate_split(config, files)
    verdict, metrics = files.verdict, files.metrics
    data = files.collect(
        "the statistics of the data", lambda: read_data.read_contents(sources.statistics, names)
    )
    history = files.collect("the training's history", lambda: read_training.read_history(sources.model_run))
    images, problem = _find_images(sources, classes, gate_split, max_ranked, score_images)
    splits = files.collect("the metrics", lambda: _read_splits(verdict, metrics, sources.metrics, names))
    gaps = {
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
        gate_split=gate_split,
        verdict=files.read_verdict(),
        splits=splits,
        slices=files.collect("the slices", lambda: read_scores.read_slices(verdict or metrics, names)),
        baseline=files.attempt(
            "the baseline", lambda: read_scores.read_baseline(verdict, metrics, names), None
        ),
        history=history,
        training=files.training,
        tuning=files.attempt("the trials", lambda: read_tuning.read_tuning(files.trials), None),
        data=data,
        findings=files.read_findings(),
        left_out=files.attempt(
            "the list of what is left out", lambda: read_data.read_left_out(sources.examples_folder), None
        ),
        validated_splits=tuple(sorted(sources.anomalies, key=read_data.split_order)),
        images=images,
        fingerprints=_list_fingerprints(verdict, files.manifest),
        configuration=config,
        environment=_list_environment(sources, files.manifest),
        outcome=sources.outcome,
        lineage=files.attempt(
            "the lineage",
            lambda: trace_lineage(sources.made, verdict, files.manifest, sources.fingerprints),
            Lineage(),
        ),
        missing=(
            *sources.gone,
            *files.damages,
            *(sentence for sentence, is_there in gaps.items() if not is_there),
        ),
    )


class _Files:
    """The documents that components left, and a sentence for each that is damaged."""

    def __init__(self, sources: RunSources) -> None:
        self.damages: list[str] = []
        self._sources = sources
        self.verdict = self._read(sources.blessing, read_scores.VERDICT_FILE)
        self.metrics = self._read(sources.evaluation, read_scores.METRICS_FILE)
        self.smoke_test = self._read(sources.smoke_test, read_scores.SMOKE_TEST_FILE)
        self.manifest = self._read(sources.pushed_model, read_scores.MANIFEST_FILE)
        self.gate_report = sources.gate or self._read(sources.gate_report, "report.json")
        self.training = self._read(sources.model_run, read_training.SUMMARY_FILE)
        self.trials = self._read(sources.tuner_results, read_tuning.TRIALS_FILE)

    def attempt(self, what: str, read: Callable[[], T], otherwise: T) -> T:
        """Returns what ``read`` returns, or else notes that it could not."""
        try:
            return read()
        except Exception as error:
            # The run is decided and its model perhaps served by now: a page with a gap beats none.
            logging.getLogger(__name__).warning("the report goes without %s", what, exc_info=True)
            self.damages.append(f"{what[0].upper()}{what[1:]} cannot be read: {_describe_error(error)}.")
            return otherwise

    def collect(self, what: str, read: Callable[[], tuple[T, ...]]) -> tuple[T, ...]:
        """Returns what ``read`` returns, or else nothing and notes that it could not."""
        return self.attempt(what, read, ())

    def read_verdict(self) -> Verdict:
        """Returns the verdict; what the files do not say, the metadata store may."""
        outcome = self._sources.outcome
        verdict = self.attempt(
            "the verdict",
            lambda: read_scores.read_verdict(self.verdict, self.smoke_test, self._sources.pushed),
            Verdict(),
        )
        if verdict.blessed is None and outcome is not None and outcome.blessed is not None:
            return replace(verdict, blessed=outcome.blessed)
        return verdict

    def read_findings(self) -> tuple[Finding, ...]:
        """Returns what was found in the data, by ExampleValidator and by the data gate."""
        anomalies = self.collect("the anomalies", lambda: read_data.read_findings(self._sources.anomalies))
        report = self.collect("the data gate's report", lambda: read_data.read_gate_report(self.gate_report))
        return anomalies + report

    def _read(self, folder: str | None, name: str) -> dict[str, Any]:
        return self.attempt(name, lambda: read_scores.read_json(folder, name), {})


def _describe_error(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}{f' ({text[:200]})' if text else ''}"


def _read_classes(sources: RunSources, files: _Files) -> ClassTable:
    """Returns the class table of the configuration, or else whatever names the classes."""
    data = sources.configuration.get("data")
    if data:
        try:
            return build_class_table(DataConfig.model_validate_json(json.dumps(data)))
        except ValueError:
            # Recorded by a version with other keys; the manifest and the metrics name the classes, too.
            logging.getLogger(__name__).warning("the configuration's data section is of another version")
    if files.manifest.get("classes"):
        return ClassTable.from_json(files.manifest)
    names = files.metrics.get("class_names") or next(
        (list(metrics.get("iou") or ()) for metrics in sources.metrics.values()), []
    )
    if not names:
        return ClassTable((), 255)
    numbered = tuple(ClassConfig(id=index, name=str(index)) for index in range(len(names)))
    table = build_class_table(DataConfig(root="unknown", classes=numbered))
    rows = (replace(row, name=str(name)) for row, name in zip(table.classes, names, strict=True))
    return ClassTable(tuple(rows), table.ignore_id)


def _read_gate_split(config: Mapping[str, Any], files: _Files) -> str:
    section = config.get("evaluation") or {}
    try:
        return EvaluationConfig.model_validate_json(json.dumps(section)).gate_split
    except ValueError:
        return str(section.get("gate_split") or "test") if isinstance(section, Mapping) else "test"


def _read_splits(
    verdict: Mapping[str, Any],
    metrics: Mapping[str, Any],
    recorded: Mapping[str, Any],
    names: Sequence[str],
) -> tuple[Score, ...]:
    scores = (
        read_scores.read_splits(metrics, names)
        or read_scores.read_verdict_splits(verdict, names)
        or read_scores.read_verdict_splits({"metrics": recorded}, names)
    )
    return tuple(sorted(scores, key=lambda score: read_data.split_order(score.name)))


def _list_fingerprints(verdict: Mapping[str, Any], manifest: Mapping[str, Any]) -> dict[str, str]:
    found = {
        "Data": verdict.get("data_fingerprint") or manifest.get("data_fingerprint"),
        "Training code": manifest.get("code_fingerprint"),
        "Evaluation code": verdict.get("code_fingerprint"),
        "Model": verdict.get("model_fingerprint") or manifest.get("model_fingerprint"),
    }
    return {label: str(value) for label, value in found.items() if value}


def _list_environment(sources: RunSources, manifest: Mapping[str, Any]) -> dict[str, str]:
    stack = manifest.get("stack")
    versions = sources.environment or (stack if isinstance(stack, Mapping) else {})
    return {str(key): str(value) for key, value in versions.items()}


def _find_images(
    sources: RunSources, classes: ClassTable, split: str, max_ranked: int | None, score_images: bool
) -> tuple[ImageResults | None, str]:
    """Returns the images, or why there are none."""
    if sources.report and exists(join_path(sources.report, IMAGES_FILE)):
        try:
            return read_images(sources.report, len(classes)), ""
        except (OSError, ValueError) as error:
            logging.getLogger(__name__).warning("%s of the report is damaged: %s", IMAGES_FILE, error)
    files = sources.examples.get(split)
    if not sources.model or not files:
        return None, f"No image is shown: there is no model or no example of {split}."
    if not score_images:
        return None, f"No image is shown here: `deconvflow report {sources.run_id}` draws them."
    return _choose(sources.model, files, split, classes, max_ranked)


def _choose(
    model: str, files: list[str], split: str, classes: ClassTable, max_ranked: int | None
) -> tuple[ImageResults | None, str]:
    # It takes seconds to import.
    from components.report.choose_images import MAX_RANKED, choose_images

    try:
        return choose_images(model, files, split, classes, max_ranked or MAX_RANKED), ""
    except Exception as error:
        # The model is judged and perhaps served by now: a page without pictures beats a failed run.
        logging.getLogger(__name__).exception("the report shows no images")
        return None, f"No image is shown: the model failed on {split} ({type(error).__name__}: {error})."
