"""What ``runs --json`` and ``show --json`` print.

Keys may be added in later versions; those that are here keep their names and meanings. Metrics and
shares lie between 0 and 1. A value that is null is unknown or undefined; ``notes`` says why where that
is not plain.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue


class Document(BaseModel):
    """Base of all: fixed keys, so that a slip in ours or in a reader's is noticed."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_serialization_defaults_required=True)


class SplitMetrics(Document):
    """Metrics of one confusion matrix; null where they are undefined."""

    pixel_accuracy: float | None = None
    mean_class_accuracy: float | None = None
    mean_iou: float | None = None
    frequency_weighted_iou: float | None = None
    iou: dict[str, float | None] = {}
    """By class."""


class ConfigurationChange(Document):
    """One key whose value is not that of the run before."""

    key: str = Field(description="Full path, as --set takes it: trainer.model.head")
    kind: Literal["changed", "added", "removed"]
    before: JsonValue = None
    after: JsonValue = None


class Changes(Document):
    """What is not as it was in the run before of the same pipeline; null where either did not record it."""

    previous: str | None = Field(description="Id of the run before; null for the first one")
    configuration: tuple[ConfigurationChange, ...] = ()
    data: bool | None = None
    code: bool | None = None
    environment: bool | None = None


class TuningSummary(Document):
    """What came of the Tuner's trials, in short."""

    trials: int
    completed: int
    best_score: float | None = Field(description="The objective of the best trial")


class RunRow(Document):
    """A run in short."""

    run_id: str
    pipeline: str
    started: float = Field(description="Seconds since the epoch")
    seconds: float
    status: str = Field(description="running, pushed, not blessed, refused, failed or interrupted")
    blessed: bool | None
    pushed_version: int | None
    pushed_uri: str | None
    report_uri: str | None
    data_fingerprint: str | None
    code_fingerprint: str | None
    environment_fingerprint: str | None
    metrics: dict[str, SplitMetrics] = Field(description="By split")
    tuning: TuningSummary | None = Field(default=None, description="Null for a run without a Tuner")
    error: str | None


class RunWithChanges(RunRow):
    """A run, and what was different from the one before."""

    changes: Changes


class RunsDocument(Document):
    """What ``runs --json`` prints."""

    runs: tuple[RunWithChanges, ...]
    total: int = Field(description="Runs in the store, before filters and --limit")


class ArtifactDocument(Document):
    """One artifact of ML Metadata."""

    id: int
    type: str
    uri: str
    exists: bool = Field(description="Whether its files are still there")
    value: str | None = Field(default=None, description="What a String artifact holds")
    properties: dict[str, JsonValue] = {}


class ComponentDocument(Document):
    """One component in one run."""

    id: str
    state: str = Field(description="complete, cached, failed, running, interrupted or canceled")
    seconds: float | None
    execution_id: int
    reused_from: str | None = Field(description="The run that made the outputs of a cached component")
    inputs: dict[str, tuple[ArtifactDocument, ...]]
    outputs: dict[str, tuple[ArtifactDocument, ...]]
    parameters: dict[str, JsonValue] = Field(description="JSON texts among them are decoded")


class SplitResult(Document):
    """An evaluated split, or a slice of one."""

    split: str
    features: dict[str, str] = Field(default={}, description="Of a slice; empty for the whole split")
    num_images: int | None
    metrics: SplitMetrics
    confusion_matrix: tuple[tuple[int, ...], ...] | None = Field(
        default=None, description="Pixels; rows truth, columns prediction, in the order of class_names"
    )


class GateDocument(Document):
    """One bound on one metric, and what became of it."""

    metric: str
    split: str
    kind: Literal["floor", "max_drop"]
    bound: float
    value: float | None
    baseline_value: float | None
    passed: bool
    sentence: str


class EvaluationDocument(Document):
    """What the Evaluator found."""

    class_names: tuple[str, ...]
    results: tuple[SplitResult, ...] = Field(description="Whole splits first, then slices")
    gates: tuple[GateDocument, ...]
    baseline_uri: str | None = Field(description="The pushed version that the model was compared with")
    model_fingerprint: str | None
    notes: tuple[str, ...]


class DataFinding(Document):
    """One thing that the data gate or ExampleValidator found."""

    check: str = Field(description="schema, split skew, drift or near duplicates")
    split: str
    feature: str
    what: str
    image_ids: tuple[str, ...] = ()
    total: int | None = Field(default=None, description="Images concerned")


class NearDuplicateDocument(Document):
    """An image and the one that looks most like it in an earlier split of train, val and test."""

    split: str
    path: str
    other_split: str
    other_path: str
    distance: int = Field(description="So many of the 256 bits of their perceptual hashes are different")


class NearDuplicatesDocument(Document):
    """The images that look like one in another split, exact copies apart."""

    max_distance: int = Field(description="At most so many bits may be different")
    plain_images: int = Field(description="Images with too little to see to be compared")
    found: tuple[NearDuplicateDocument, ...] = Field(description="The nearest first")


class DataGateDocument(Document):
    """What the data gate saw."""

    passed: bool
    findings: tuple[DataFinding, ...]
    examples: dict[str, int] = Field(description="By split")
    limits: dict[str, JsonValue]
    near_duplicates: NearDuplicatesDocument | None = Field(
        default=None, description="Null where the gate did not look for them"
    )
    notes: tuple[str, ...]


class LeftOutDocument(Document):
    """One file, or line of a list, that a run went without, with the reason."""

    where: str = Field(description="The file, or the line of a list")
    what: str
    remedy: str
    code: str = Field(description="Short stable name of the kind of problem")
    sentence: str = Field(description="All of it, for people")
    image_id: str | None = Field(description="Null for what makes no pair of image and mask")
    split: str | None


class QuarantineDocument(Document):
    """What a run went without."""

    bad: int = Field(description="Examples left out: pairs, and files and lines that make no pair")
    sound: int = Field(description="Pairs that were taken")
    bad_share: float
    max_bad_share: float = Field(description="A larger one refuses the data set")
    left_out: tuple[LeftOutDocument, ...] = Field(description="A pair may have several reasons")


class SmokeTestDocument(Document):
    """Whether the exported model answered."""

    passed: bool | None
    reasons: tuple[str, ...]


class TrialDocument(Document):
    """One trial of hyper-parameters."""

    id: str
    status: Literal["completed", "failed"]
    score: float | None
    seconds: float | None = Field(description="Of its training")
    epochs: int | None
    best_epoch: int | None = Field(description="Whose weights scored")
    values: dict[str, JsonValue] = Field(description="By key of the configuration")
    message: str | None = Field(description="Why it failed")


class TuningDocument(Document):
    """What the Tuner tried."""

    objective: str
    algorithm: str
    max_trials: int
    best: str | None = Field(description="Id of the trial whose values the Trainer took")
    trials: tuple[TrialDocument, ...] = Field(description="In the order in which they ran")


class ShowDocument(Document):
    """What ``show --json`` prints."""

    run: RunWithChanges
    components: tuple[ComponentDocument, ...]
    failed_component: str | None
    evaluation: EvaluationDocument | None
    data_gate: DataGateDocument | None
    quarantine: QuarantineDocument | None = Field(
        default=None, description="Null unless data.on_bad_example is quarantine and ingest was reached"
    )
    smoke_test: SmokeTestDocument | None
    tuning: TuningDocument | None = Field(default=None, description="Null for a run without a Tuner")
    training: dict[str, JsonValue] | None = Field(description="The Trainer's training.json")
    configuration: dict[str, JsonValue]
    environment: dict[str, JsonValue] | None
    log: str | None = Field(description="Path of the log; null if it is not there")
    notes: tuple[str, ...]
