"""The verdict, the metrics and the classes in the words and rows of the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from components.report.describe_confusion import list_mistakes
from components.report.facts import GateResult, Number, RunFacts, Score, Verdict
from components.report.format_values import (
    defined,
    format_change,
    format_metric,
    format_percent,
    format_seconds,
    metric_label,
)
from trainer.confusion_matrix import SUMMARY_METRICS

ABSENT = "absent from truth and prediction; left out of the mean"
ABSENT_FROM_TRUTH = "absent from the truth, but predicted"
NEVER_PREDICTED = "never predicted"
_REASONS = 12
"""At most so many lines of an error stand under the headline."""


@dataclass(frozen=True)
class Headline:
    """The verdict in one line, and why."""

    state: str
    """good, bad or open."""
    text: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Tile:
    """One large number."""

    label: str
    value: str
    change: str
    """Against the served model; empty if there is none."""
    direction: str
    """better, worse or same."""


@dataclass(frozen=True)
class ScoreRow:
    """One line of a table of metrics."""

    name: str
    images: Number
    values: tuple[str, ...]
    kind: str = "model"
    """model, baseline or change."""


@dataclass(frozen=True)
class ClassRow:
    """One class in the table of IoUs."""

    class_id: int
    iou: Number
    baseline: Number
    others: tuple[str, ...]
    change: str
    direction: str
    note: str


def describe_headline(facts: RunFacts) -> Headline:
    """Returns what became of a run: its verdict, or why it came to none."""
    outcome = facts.outcome
    if outcome is None:
        return describe_verdict(facts.verdict)
    lines = tuple(line for line in outcome.error.splitlines() if line.strip())[:_REASONS]
    if outcome.status == "failed":
        where = f" in {outcome.failed_component}" if outcome.failed_component else ""
        return Headline("bad", f"Failed{where}", lines[:1] or ("No error was recorded.",))
    if outcome.status == "refused":
        reasons = lines or ("Why was not recorded.",)
        return Headline("bad", "Refused", (*reasons, "Nothing was lost; what was served still is."))
    if outcome.status == "interrupted":
        reason = "It was ended before it was done; the same command goes on where it stopped."
        return Headline("open", "Interrupted", (reason,))
    if outcome.status == "running":
        return Headline("open", "Still running", ("This page shows what there was when it was made.",))
    if facts.verdict.blessed is None and outcome.status == "pushed":
        return Headline("good", "Pushed", ("The evaluation's verdict is not there any more.",))
    return describe_verdict(facts.verdict)


def describe_verdict(verdict: Verdict) -> Headline:
    """Returns the headline of a verdict."""
    failed = tuple(gate.sentence for gate in verdict.gates if not gate.passed)
    if verdict.blessed is False:
        return Headline("bad", "Not blessed, so not pushed", failed or ("A gate was not passed.",))
    passed = _count_gates(verdict.gates)
    if verdict.smoke_test_passed is False:
        reason = "The exported model failed the serving smoke test, so the served version is untouched."
        reasons = (passed, reason, *verdict.smoke_test_reasons)
        return Headline("bad", "Blessed, but not pushed", reasons)
    if verdict.pushed:
        version = f" as version {verdict.pushed_version}" if verdict.pushed_version else ""
        where = (f"Served from {verdict.pushed_uri}.",) if verdict.pushed_uri else ()
        return Headline("good", f"Blessed and pushed{version}", (passed, *where))
    if verdict.blessed and verdict.pushed is False:
        return Headline("bad", "Blessed, but not pushed", (passed, "The Pusher pushed nothing."))
    if verdict.blessed:
        return Headline("good", "Blessed", (passed,))
    return Headline("open", "No verdict", ("The evaluation left none.",))


def select_notes(verdict: Verdict) -> tuple[str, ...]:
    """Returns the evaluation's notes, without those whose reason a gate's sentence gives as well."""

    def is_said(note: str) -> bool:
        reason = note.partition(": ")[2]
        return bool(reason) and any(reason in gate.sentence for gate in verdict.gates)

    return tuple(note for note in verdict.notes if not is_said(note))


def _count_gates(gates: Sequence[GateResult]) -> str:
    if not gates:
        return "No gate was set."
    return {1: "The only gate was passed.", 2: "Both gates were passed."}.get(
        len(gates), f"All {len(gates)} gates were passed."
    )


def describe_tiles(facts: RunFacts) -> tuple[Tile, ...]:
    """Returns the summary metrics of the gate's split, beside the served model's."""
    score, baseline = facts.score(facts.gate_split), facts.baseline_score(facts.gate_split)
    if score is None:
        return ()
    order = ("mean_iou", *(name for name in SUMMARY_METRICS if name != "mean_iou"))
    tiles = []
    for name in order:
        value = score.summary.get(name)
        before = baseline.summary.get(name) if baseline else None
        change = format_change(value, before, 3) if baseline else ""
        tiles.append(Tile(metric_label(name), format_metric(value, 3), change, _direction(change)))
    return tuple(tiles)


def describe_highlights(facts: RunFacts) -> tuple[str, ...]:
    """Returns what a reader would look for first, a sentence each."""
    sentences = []
    names = facts.classes.names
    if score := facts.score(facts.gate_split):
        known = sorted((iou, class_id) for class_id, iou in enumerate(score.iou) if iou is not None)
        if len(known) > 1:
            count = 1 if len(known) < 4 else min(3, len(known) // 2)
            weakest = ", ".join(f"{names[index]} ({format_metric(iou, 2)})" for iou, index in known[:count])
            label = "Weakest class" if count == 1 else "Weakest classes"
            sentences.append(f"{label} on {score.name}, by IoU: {weakest}.")
        if score.matrix is not None and (mistakes := list_mistakes(score.matrix, 1)):
            worst = mistakes[0]
            sentences.append(
                f"Most common mistake: {names[worst.truth]} taken for {names[worst.prediction]}, "
                f"{format_percent(worst.share_of_class)} of its pixels."
            )
    if sentence := _describe_training(facts):
        sentences.append(sentence)
    return tuple(sentences)


def _describe_training(facts: RunFacts) -> str:
    if not facts.history:
        return ""
    text = f"Trained for {len(facts.history)} epoch{'s' if len(facts.history) > 1 else ''}"
    seconds = defined(facts.training.get("seconds"))
    if seconds is not None:
        text += f" in {format_seconds(seconds)}"
    validated = [
        (value, -epoch.epoch)
        for epoch in facts.history
        if (value := epoch.validation.get("mean_iou")) is not None
    ]
    if validated:
        best, epoch = max(validated)
        text += f"; best validation mean IoU {format_metric(best, 3)} in epoch {-epoch}"
    return text + "."


def describe_scores(facts: RunFacts) -> tuple[ScoreRow, ...]:
    """Returns the rows of the splits, each followed by the served model's and the difference."""
    rows = []
    for score in facts.splits:
        rows.append(_row(score.name, score))
        if facts.baseline and (baseline := facts.baseline.scores.get(score.name)):
            pairs = [(score.summary.get(name), baseline.summary.get(name)) for name in SUMMARY_METRICS]
            rows.append(_row(f"{score.name}, {facts.baseline.name}", baseline, "baseline"))
            changes = tuple(format_change(value, before) for value, before in pairs)
            rows.append(ScoreRow(f"{score.name}, difference", None, changes, "change"))
    return tuple(rows)


def describe_slices(facts: RunFacts) -> tuple[ScoreRow, ...]:
    """Returns a row a slice."""
    return tuple(_row(score.name, score) for score in facts.slices)


def _row(name: str, score: Score, kind: str = "model") -> ScoreRow:
    values = tuple(format_metric(score.summary.get(metric)) for metric in SUMMARY_METRICS)
    return ScoreRow(name, score.num_images, values, kind)


def describe_classes(facts: RunFacts) -> tuple[ClassRow, ...]:
    """Returns a row a class, on the gate's split; other splits' IoUs beside it."""
    score, baseline = facts.score(facts.gate_split), facts.baseline_score(facts.gate_split)
    if score is None:
        return ()
    others = [other for other in facts.splits if other.name != facts.gate_split]
    rows = []
    for class_id in range(len(facts.classes)):
        iou = score.iou[class_id]
        before = baseline.iou[class_id] if baseline else None
        change = format_change(iou, before)
        rows.append(
            ClassRow(
                class_id,
                iou,
                before,
                tuple(format_metric(other.iou[class_id]) for other in others),
                change,
                _direction(change),
                _note(score, class_id),
            )
        )
    return tuple(rows)


def _note(score: Score, class_id: int) -> str:
    if score.iou[class_id] is None:
        return ABSENT
    if score.matrix is None:
        return ""
    if not score.matrix[class_id].sum():
        return ABSENT_FROM_TRUTH
    return "" if score.matrix[:, class_id].sum() else NEVER_PREDICTED


def _direction(change: str) -> str:
    return {"+": "better", "\N{MINUS SIGN}": "worse"}.get(change[:1], "same")
