"""Reading what the other components leave, in the files that they write."""

from __future__ import annotations

import html
import json
from pathlib import Path

import pytest
from tensorflow_metadata.proto.v0 import anomalies_pb2, statistics_pb2

from components.report import read_data, read_scores, read_training
from components.report.collect_facts import RunSources, collect_facts
from components.report.describe_scores import describe_headline
from components.report.facts import RunOutcome
from components.report.render_report import render_report

NAMES = ("ground", "road")
CONFIGURATION = {
    "name": "streets",
    "data": {"root": "/data", "classes": [{"id": 0, "name": "ground"}, {"id": 1, "name": "road"}]},
}
SPLIT = {
    "num_images": 5,
    "metrics": {
        "pixel_accuracy": 0.9,
        "mean_class_accuracy": 0.8,
        "mean_iou": 0.7,
        "frequency_weighted_iou": 0.85,
        "iou": {"ground": 0.7, "road": None},
    },
    "confusion_matrix": [[9, 1], [0, 0]],
}


def test_scores_of_splits_and_slices() -> None:
    sliced = {"split": "test", "features": {"attribute/weather": "rain", "image/format": "png"}, **SPLIT}
    (split,) = read_scores.read_splits({"splits": {"test": SPLIT}}, NAMES)
    (part,) = read_scores.read_slices({"slices": [sliced]}, NAMES)

    assert split.name == "test"
    assert split.num_images == 5
    assert split.summary["mean_iou"] == 0.7
    assert split.iou == (0.7, None)
    assert split.matrix is not None
    assert split.matrix.tolist() == [[9, 1], [0, 0]]
    assert part.name == "test, weather = rain, image/format = png"


def test_nan_is_undefined_as_null_is() -> None:
    document = json.loads('{"splits": {"test": {"metrics": {"mean_iou": NaN, "iou": {"road": NaN}}}}}')
    (split,) = read_scores.read_splits(document, NAMES)

    assert split.summary["mean_iou"] is None
    assert split.iou == (None, None)


def test_the_baseline_is_named_by_its_version() -> None:
    metrics = {"baseline": {"splits": {"test": SPLIT}}}
    baseline = read_scores.read_baseline({"baseline": {"version": 2, "uri": "/models/2"}}, metrics, NAMES)

    assert baseline is not None
    assert baseline.name == "version 2"
    assert baseline.scores["test"].summary["mean_iou"] == 0.7
    assert read_scores.read_baseline({"baseline": None}, {"baseline": None}, NAMES) is None


def test_verdict_smoke_test_and_push() -> None:
    gate = {
        "metric": "iou/road",
        "split": "test",
        "kind": "max_drop",
        "bound": 0.01,
        "value": None,
        "baseline_value": 0.4,
        "passed": False,
        "sentence": "It is undefined.",
    }
    verdict = read_scores.read_verdict(
        {"blessed": False, "gates": [gate], "notes": ["A note."]},
        {"blessed": False, "reasons": ["serving_default: no answer"]},
        {"pushed": 0},
    )

    assert (verdict.blessed, verdict.smoke_test_passed, verdict.pushed) == (False, False, False)
    assert verdict.gates[0].value is None
    assert verdict.gates[0].baseline_value == 0.4
    assert verdict.notes == ("A note.",)
    assert verdict.smoke_test_reasons == ("serving_default: no answer",)
    unknown = read_scores.read_verdict({}, {}, None)
    assert (unknown.blessed, unknown.smoke_test_passed, unknown.pushed) == (None, None, None)


def test_history_has_a_line_an_epoch(tmp_path: Path) -> None:
    lines = [
        {"epoch": 1, "step": 7, "loss": 2.0, "learning_rate": 0.1, "val": None, "seconds": 3.0},
        {"epoch": 2, "step": 14, "loss": 1.0, "learning_rate": 0.1, "val": {"mean_iou": 0.5, "iou/a": None}},
    ]
    (tmp_path / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    first, second = read_training.read_history(str(tmp_path))

    assert (first.epoch, first.step, first.training_loss, first.seconds) == (1, 7, 2.0, 3.0)
    assert first.validation == {}
    assert second.validation == {"mean_iou": 0.5}
    assert second.images_per_second is None
    assert read_training.read_history(str(tmp_path / "nowhere")) == ()


def add_counts(dataset: statistics_pb2.DatasetFeatureStatistics, name: str, mean: float, zeros: int) -> None:
    feature = dataset.features.add()
    feature.path.step.append(name)
    feature.num_stats.mean = mean
    feature.num_stats.num_zeros = zeros
    feature.num_stats.common_stats.num_non_missing = 4
    feature.num_stats.common_stats.tot_num_values = 4


def test_class_frequencies_come_from_the_statistics(tmp_path: Path) -> None:
    for split in ("test", "train"):
        statistics = statistics_pb2.DatasetFeatureStatisticsList()
        dataset = statistics.datasets.add(num_examples=4)
        add_counts(dataset, "mask/pixels/ground", 25.0, 1)
        add_counts(dataset, "mask/void_share", 0.125, 0)
        (tmp_path / split).mkdir()
        (tmp_path / split / "FeatureStats.pb").write_bytes(statistics.SerializeToString())
    folders = {split: str(tmp_path / split) for split in ("test", "train", "val")}
    train, test = read_data.read_contents(folders, NAMES)

    assert (train.name, test.name) == ("train", "test")
    assert train.num_images == 4
    assert train.class_pixels == (100.0, 0.0)
    assert train.class_images == (3, 0)
    assert train.void_share == 0.125


def test_anomalies_become_findings(tmp_path: Path) -> None:
    anomalies = anomalies_pb2.Anomalies()
    info = anomalies.anomaly_info["mask/unknown_pixels"]
    info.path.step.append("mask/unknown_pixels")
    info.short_description = "Out-of-range values"
    info.description = "Unexpectedly high values: 12."
    info.severity = anomalies_pb2.AnomalyInfo.ERROR
    (tmp_path / "SchemaDiff.pb").write_bytes(anomalies.SerializeToString())
    (finding,) = read_data.read_findings({"val": str(tmp_path), "test": str(tmp_path / "nowhere")})

    assert (finding.place, finding.subject, finding.severity) == ("val", "mask/unknown_pixels", "error")
    assert finding.text == "Out-of-range values. Unexpectedly high values: 12."


def test_the_gates_report_becomes_findings() -> None:
    finding, note = read_data.read_gate_report(
        {
            "findings": [{"check": "drift", "split": "train", "feature": "image/mean", "what": "it is far"}],
            "notes": ["Too few images."],
        }
    )

    assert (finding.subject, finding.text) == ("image/mean", "drift: it is far")
    assert (note.text, note.severity) == ("Too few images.", "warning")


def test_a_run_that_left_nothing_still_has_a_page() -> None:
    facts = collect_facts(RunSources(CONFIGURATION))

    assert facts.classes.names == NAMES
    assert facts.gate_split == "test"
    assert len(facts.missing) == 5
    assert "The evaluation left no verdict." in render_report(facts)


def test_splits_come_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps({"splits": {"test": SPLIT, "val": SPLIT}}))
    facts = collect_facts(RunSources(CONFIGURATION, evaluation=str(tmp_path)))

    assert [score.name for score in facts.splits] == ["val", "test"]


def test_verdict_alone_gives_the_metrics_without_matrices(tmp_path: Path) -> None:
    document = {"blessed": True, "metrics": {"test": SPLIT["metrics"]}, "num_images": {"test": 5}}
    (tmp_path / "verdict.json").write_text(json.dumps(document))
    facts = collect_facts(RunSources(CONFIGURATION, blessing=str(tmp_path)))

    assert facts.splits[0].summary["pixel_accuracy"] == 0.9
    assert facts.splits[0].matrix is None
    assert "The evaluation left no confusion matrix." in render_report(facts)


def test_damaged_files_are_said_and_the_rest_is_shown(tmp_path: Path) -> None:
    (tmp_path / "verdict.json").write_text("{")
    (tmp_path / "metrics.json").write_text(json.dumps({"splits": {"test": SPLIT}}))
    facts = collect_facts(RunSources(CONFIGURATION, blessing=str(tmp_path), evaluation=str(tmp_path)))
    page = html.unescape(render_report(facts))

    assert any("Verdict.json cannot be read: JSONDecodeError" in sentence for sentence in facts.missing)
    assert "Verdict.json cannot be read" in page
    assert facts.splits[0].summary["pixel_accuracy"] == 0.9


def test_the_stores_metrics_stand_in_for_files_that_are_gone() -> None:
    outcome = RunOutcome("pushed", blessed=True)
    facts = collect_facts(
        RunSources(CONFIGURATION, metrics={"test": SPLIT["metrics"]}, outcome=outcome, gone=("It is gone.",))
    )

    assert facts.splits[0].summary["pixel_accuracy"] == 0.9
    assert facts.verdict.blessed is True
    assert facts.missing[0] == "It is gone."


def test_classes_are_known_without_a_configuration(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps({"class_names": NAMES, "splits": {"test": SPLIT}}))

    assert collect_facts(RunSources({}, evaluation=str(tmp_path))).classes.names == tuple(NAMES)
    assert collect_facts(RunSources({}, metrics={"val": SPLIT["metrics"]})).classes.names == tuple(
        SPLIT["metrics"]["iou"]
    )
    assert len(collect_facts(RunSources({})).classes) == 0
    assert "No verdict" in render_report(collect_facts(RunSources({})))


@pytest.mark.parametrize(
    ("outcome", "headline", "reason"),
    [
        (
            RunOutcome("failed", error="No space.\nmore", failed_component="Trainer"),
            "Failed in Trainer",
            "No space.",
        ),
        (
            RunOutcome("refused", error="a.png: is empty. Remove it."),
            "Refused",
            "a.png: is empty. Remove it.",
        ),
        (RunOutcome("interrupted"), "Interrupted", "goes on where it stopped"),
        (RunOutcome("running"), "Still running", "when it was made"),
        (RunOutcome("pushed"), "Pushed", "not there any more"),
        (RunOutcome("not blessed", blessed=False), "Not blessed, so not pushed", "A gate was not passed."),
    ],
    ids=lambda value: value.status if isinstance(value, RunOutcome) else "",
)
def test_what_became_of_the_run_is_its_headline(outcome: RunOutcome, headline: str, reason: str) -> None:
    facts = collect_facts(RunSources(CONFIGURATION, outcome=outcome))
    said = describe_headline(facts)

    assert said.text == headline
    assert any(reason in sentence for sentence in said.reasons)
    assert headline in render_report(facts)
