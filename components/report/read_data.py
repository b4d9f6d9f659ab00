"""Reads the statistics of the data, its anomalies and the data gate's report. Imports no TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tensorflow_metadata.proto.v0 import anomalies_pb2, statistics_pb2

from components.report.facts import Finding, LeftOutExamples, LeftOutFile, SplitContent
from data.features import MASK_VOID_SHARE, class_pixels_key
from data.open_files import exists, join_path, read_bytes
from data.quarantine import QUARANTINE_FILE

STATISTICS_FILE = "FeatureStats.pb"
ANOMALIES_FILE = "SchemaDiff.pb"
_SPLIT_ORDER = {"train": 0, "val": 1, "test": 2}


def split_order(name: str) -> tuple[int, str]:
    """Returns a key that sorts splits: train, val, test, and then by name."""
    return _SPLIT_ORDER.get(name, len(_SPLIT_ORDER)), name


def read_contents(folders: Mapping[str, str], class_names: Sequence[str]) -> tuple[SplitContent, ...]:
    """Returns what each split holds.

    Args:
        folders: those of StatisticsGen, by split.
        class_names: in the order of their ids.
    """
    contents = []
    for split in sorted(folders, key=split_order):
        path = join_path(folders[split], STATISTICS_FILE)
        if not exists(path):
            continue
        statistics = statistics_pb2.DatasetFeatureStatisticsList.FromString(read_bytes(path))
        if statistics.datasets:
            contents.append(_read_content(split, statistics.datasets[0], class_names))
    return tuple(contents)


def _read_content(
    split: str, dataset: statistics_pb2.DatasetFeatureStatistics, class_names: Sequence[str]
) -> SplitContent:
    features = {(entry.path.step[-1] if entry.path.step else entry.name): entry for entry in dataset.features}
    numbers = [_read_counts(features.get(class_pixels_key(name))) for name in class_names]
    void = features.get(MASK_VOID_SHARE)
    has_void = void is not None and void.num_stats.common_stats.num_non_missing > 0
    return SplitContent(
        name=split,
        num_images=int(dataset.num_examples),
        class_pixels=tuple(pixels for pixels, _ in numbers),
        class_images=tuple(images for _, images in numbers),
        void_share=float(void.num_stats.mean) if has_void and void is not None else None,
    )


def _read_counts(feature: statistics_pb2.FeatureNameStatistics | None) -> tuple[float, int]:
    """Returns the sum of a count over the images, and the number of images where it is not 0."""
    if feature is None:
        return 0.0, 0
    numbers = feature.num_stats
    total = int(numbers.common_stats.tot_num_values) or int(numbers.common_stats.num_non_missing)
    return float(numbers.mean) * total, total - int(numbers.num_zeros)


def read_findings(folders: Mapping[str, str]) -> tuple[Finding, ...]:
    """Returns the anomalies that ExampleValidator found.

    Args:
        folders: those of ExampleValidator, by split.
    """
    findings: list[Finding] = []
    for split in sorted(folders, key=split_order):
        path = join_path(folders[split], ANOMALIES_FILE)
        if exists(path):
            findings += _read_split(split, anomalies_pb2.Anomalies.FromString(read_bytes(path)))
    return tuple(findings)


def _read_split(split: str, anomalies: anomalies_pb2.Anomalies) -> list[Finding]:
    findings = [
        _explain(split, info.path.step[-1] if info.path.step else key, info)
        for key, info in sorted(anomalies.anomaly_info.items())
    ]
    if anomalies.HasField("dataset_anomaly_info"):
        findings.append(_explain(split, "the whole split", anomalies.dataset_anomaly_info))
    return findings


def _explain(split: str, subject: str, info: anomalies_pb2.AnomalyInfo) -> Finding:
    text = ". ".join(part.rstrip(".") for part in (info.short_description, info.description) if part)
    is_warning = info.severity == anomalies_pb2.AnomalyInfo.WARNING
    return Finding(split, subject, f"{text}." if text else "", "warning" if is_warning else "error")


def _name_images(entry: Mapping[str, Any]) -> str:
    ids = [str(image_id) for image_id in entry.get("image_ids") or ()]
    if not ids:
        return ""
    more = int(entry.get("total") or len(ids)) - len(ids)
    return f" (images {', '.join(ids)}{f' and {more} more' if more > 0 else ''})"


def read_left_out(folder: str | None) -> LeftOutExamples | None:
    """Returns what was left out of the data; None where nothing may be.

    Args:
        folder: the examples' artifact.
    """
    if folder is None or not exists(path := join_path(folder, QUARANTINE_FILE)):
        return None
    document = json.loads(read_bytes(path))
    files = tuple(
        LeftOutFile(str(row["where"]), str(row["what"]), str(row["remedy"])) for row in document["left_out"]
    )
    return LeftOutExamples(
        int(document["bad"]), int(document["sound"]), float(document["max_bad_share"]), files
    )


def read_gate_report(report: Mapping[str, Any]) -> tuple[Finding, ...]:
    """Returns the findings and notes of the data gate's report.json."""
    findings = [
        Finding(
            str(entry.get("split", "")),
            str(entry.get("feature") or "the whole split"),
            f"{entry.get('check', 'data gate')}: {entry.get('what', '')}{_name_images(entry)}",
        )
        for entry in report.get("findings") or ()
    ]
    notes = [Finding("data gate", "note", str(note), "warning") for note in report.get("notes") or ()]
    return tuple(findings + notes)
