"""Judging a data set's statistics: against the schema, between splits, and against earlier data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from data import features
from data.compare_quantiles import quantile_distance

Statistics: TypeAlias = statistics_pb2.DatasetFeatureStatisticsList
Check = Literal["schema", "split skew", "drift", "near duplicates"]

_KINDS = {
    anomalies_pb2.DriftSkewInfo.Measurement.L_INFTY: "L-infinity",
    anomalies_pb2.DriftSkewInfo.Measurement.JENSEN_SHANNON_DIVERGENCE: "Jensen-Shannon",
}

MIN_EXAMPLES_TO_COMPARE = 30
"""With fewer on either side, histograms of chance alone are far apart."""


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is wrong with a feature of a split.

    Attributes:
        check: which check found it.
        split: where.
        feature: the key of ``data.features``; empty for the split as a whole.
        what: what is wrong, as the rest of a sentence about the feature.
    """

    check: Check
    split: str
    feature: str
    what: str


@dataclass(frozen=True)
class Distance:
    """How far a feature's distribution in a split is from a reference.

    Attributes:
        check: ``split skew``: from the train split; ``drift``: from the served model's data.
        split: whose distribution.
        feature: the key of ``data.features``.
        kind: ``Jensen-Shannon`` (bits), ``Kolmogorov-Smirnov`` or ``L-infinity``.
        value: from 0, the same, to 1, nothing in common.
        limit: the largest that passes.
    """

    check: Check
    split: str
    feature: str
    kind: str
    value: float
    limit: float

    def finding(self) -> Finding:
        """Returns this as a finding."""
        other = "the train split" if self.check == "split skew" else "the served model's training data"
        what = (
            f"its distribution is {self.value:.3f} away from that in {other} "
            f"({self.kind} distance; {self.limit:.3f} is allowed)"
        )
        return Finding(self.check, self.split, self.feature, what)


@dataclass(frozen=True)
class Judgement:
    """What was found in a data set's statistics.

    Attributes:
        findings: what is wrong; empty if the data may be trained on.
        distances: every distance that was measured, large or small.
        notes: what deserves a look or could not be judged, as sentences.
    """

    findings: tuple[Finding, ...]
    distances: tuple[Distance, ...]
    notes: tuple[str, ...]


def judge_statistics(
    statistics: Mapping[str, Statistics],
    schema: schema_pb2.Schema,
    known: Iterable[Finding] = (),
    served: Statistics | None = None,
) -> Judgement:
    """Judges the statistics of all splits.

    Args:
        statistics: by split.
        schema: with the gate's limits (``data.build_schema.add_gate_limits``).
        known: what another validator has found already.
        served: of the data that the served model was trained on; None where nothing is served.
    """
    distances = list(measure_split_skew(statistics, schema))
    if served is not None and "train" in statistics:
        distances += measure_drift(statistics["train"], served, schema)
    broken = {(finding.split, finding.feature): finding for finding in known}
    broken |= {(finding.split, finding.feature): finding for finding in judge_schema(statistics, schema)}
    findings = [*broken.values(), *(far.finding() for far in distances if far.value > far.limit)]
    notes = [*_note_small_splits(statistics, served), *_note_absent_classes(statistics)]
    return Judgement(tuple(sorted(findings)), tuple(distances), tuple(notes))


def explain_anomalies(split: str, anomalies: anomalies_pb2.Anomalies) -> Iterator[Finding]:
    """Yields a finding for every anomaly of a split."""
    for info in anomalies.anomaly_info.values():
        feature = info.path.step[-1] if info.path.step else ""
        yield Finding("schema", split, feature, _describe(info))
    if anomalies.HasField("dataset_anomaly_info"):
        yield Finding("schema", split, "", _describe(anomalies.dataset_anomaly_info))


def judge_schema(statistics: Mapping[str, Statistics], schema: schema_pb2.Schema) -> Iterator[Finding]:
    """Yields a finding for every feature of a split whose statistics break the schema."""
    for split, of_split in statistics.items():
        yield from explain_anomalies(split, tfdv.validate_statistics(of_split, schema))


def measure_split_skew(statistics: Mapping[str, Statistics], schema: schema_pb2.Schema) -> Iterator[Distance]:
    """Yields the distances of the other splits from train, by the schema's skew comparators."""
    train = statistics.get("train")
    for split, of_split in statistics.items():
        if split != "train" and train is not None and comparable(train, of_split):
            anomalies = tfdv.validate_statistics(train, schema, serving_statistics=of_split)
            for info in anomalies.drift_skew_info:
                measured = _distances("split skew", split, info.path, info.skew_measurements)
                yield from (_confirm(distance, of_split, train) for distance in measured)


def measure_drift(train: Statistics, earlier: Statistics, schema: schema_pb2.Schema) -> Iterator[Distance]:
    """Yields the distances of the train split from earlier data, by the schema's drift comparators.

    Features that only one of the two has are passed over: a new class is a change of the
    configuration, which its author knows of.
    """
    if comparable(train, earlier):
        anomalies = tfdv.validate_statistics(train, schema, previous_statistics=earlier)
        for info in anomalies.drift_skew_info:
            measured = _distances("drift", "train", info.path, info.drift_measurements)
            yield from (_confirm(distance, train, earlier) for distance in measured)


def comparable(one: Statistics, other: Statistics) -> bool:
    """Says whether both have enough examples for their distributions to be compared."""
    return min(count_examples(one), count_examples(other)) >= MIN_EXAMPLES_TO_COMPARE


def count_examples(statistics: Statistics) -> int:
    """Returns how many examples statistics were computed of."""
    return int(statistics.datasets[0].num_examples) if statistics.datasets else 0


def find_feature(statistics: Statistics, feature: str) -> statistics_pb2.FeatureNameStatistics | None:
    """Returns the statistics of one feature, None if there are none."""
    for dataset in statistics.datasets:
        for entry in dataset.features:
            if list(entry.path.step) == [feature] or entry.name == feature:
                return entry
    return None


def _distances(
    check: Check, split: str, path: Any, measurements: Iterable[anomalies_pb2.DriftSkewInfo.Measurement]
) -> Iterator[Distance]:
    for found in measurements:
        kind = _KINDS.get(found.type, "distance")
        yield Distance(check, split, path.step[-1], kind, found.value, found.threshold)


def _confirm(distance: Distance, one: Statistics, other: Statistics) -> Distance:
    """Takes the distance by quantiles where it is the smaller: histograms overstate what one value does."""
    first, second = find_feature(one, distance.feature), find_feature(other, distance.feature)
    by_quantiles = quantile_distance(first, second) if first and second else None
    if by_quantiles is None or by_quantiles >= distance.value:
        return distance
    return replace(distance, kind="Kolmogorov-Smirnov", value=by_quantiles)


def _note_small_splits(statistics: Mapping[str, Statistics], served: Statistics | None) -> Iterator[str]:
    sets = {f"split {split}": of_split for split, of_split in statistics.items()}
    if served is not None:
        sets["served model's training data"] = served
    for name, of_set in sets.items():
        if count_examples(of_set) < MIN_EXAMPLES_TO_COMPARE:
            yield (
                f"The {name} has {count_examples(of_set)} images: too few to compare its distributions, "
                f"which takes {MIN_EXAMPLES_TO_COMPARE}."
            )


def _note_absent_classes(statistics: Mapping[str, Statistics]) -> Iterator[str]:
    prefix = features.class_pixels_key("")
    for split, of_split in statistics.items():
        for entry in of_split.datasets[0].features if of_split.datasets else ():
            name = entry.path.step[-1] if entry.path.step else entry.name
            if name.startswith(prefix) and entry.num_stats.max == 0:
                yield f"The class {name.removeprefix(prefix)} has no pixel in the split {split}."


def _describe(info: anomalies_pb2.AnomalyInfo) -> str:
    """Returns TFDV's reasons as the rest of a sentence."""
    reasons = [reason.description or reason.short_description for reason in info.reason] or [info.description]
    text = "; ".join(
        reason.replace("(upto six significant digits)", "").strip().rstrip(".") for reason in reasons
    )
    return text[:1].lower() + text[1:]
