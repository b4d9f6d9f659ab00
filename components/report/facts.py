"""Everything that a run's page says, as plain values. Imports neither TFX nor TensorFlow.

A number is None where it is undefined or not known. Tuples that go by class are in the order of the
class table's ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.report.lineage import Lineage
from components.report.read_tuning import Tuning
from data.classes import ClassTable

Number = float | None


@dataclass(frozen=True)
class Score:
    """The metrics of one split or slice."""

    name: str
    summary: Mapping[str, Number]
    """By the names of ``trainer.confusion_matrix.SUMMARY_METRICS``."""
    iou: tuple[Number, ...]
    """By class; None for a class that is absent from truth and prediction."""
    matrix: NDArray[np.int64] | None = None
    """int64 [classes, classes], rows truth, columns prediction."""
    num_images: int | None = None


@dataclass(frozen=True)
class GateResult:
    """One bound on one metric, and what became of it."""

    metric: str
    split: str
    kind: str
    """floor or max_drop."""
    bound: float
    value: Number
    baseline_value: Number
    passed: bool
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """What the run came to. None: that component did not say."""

    blessed: bool | None = None
    smoke_test_passed: bool | None = None
    pushed: bool | None = None
    pushed_version: str = ""
    pushed_uri: str = ""
    gates: tuple[GateResult, ...] = ()
    notes: tuple[str, ...] = ()
    """What the evaluation remarked beside the gates."""
    smoke_test_reasons: tuple[str, ...] = ()
    """Why the exported model failed its smoke test."""
    images_per_second: Number = None
    """That the exported network predicts in the smoke test, one at a time on the CPU."""


@dataclass(frozen=True)
class Baseline:
    """The model that was served when this one was judged."""

    name: str
    """``version 3``, or whatever names it."""
    scores: Mapping[str, Score] = field(default_factory=dict)
    """By split."""


@dataclass(frozen=True)
class Epoch:
    """One line of the training's history."""

    epoch: int
    step: int | None
    training_loss: Number
    learning_rate: Number
    validation: Mapping[str, Number]
    """``loss`` and metrics by their names; empty in epochs that were not validated."""
    seconds: Number = None
    images_per_second: Number = None


@dataclass(frozen=True)
class SplitContent:
    """What one split holds."""

    name: str
    num_images: int
    class_pixels: tuple[float, ...]
    class_images: tuple[int, ...]
    """Images with at least one pixel of the class."""
    void_share: Number = None
    """Mean over the images."""


@dataclass(frozen=True)
class Finding:
    """Something about the data that the validation or the gate remarked."""

    place: str
    """The split or the part of the pipeline."""
    subject: str
    """The feature, or whatever the finding is about."""
    text: str
    severity: str = "error"
    """error or warning."""


@dataclass(frozen=True)
class LeftOutFile:
    """A file, or a line of a list, that the run went without."""

    file: str
    reason: str
    remedy: str


@dataclass(frozen=True)
class LeftOutExamples:
    """What ``data.on_bad_example: quarantine`` left out."""

    bad: int
    sound: int
    max_bad_share: float
    files: tuple[LeftOutFile, ...]


@dataclass(frozen=True)
class Picture:
    """One image for the page."""

    data_uri: str
    width_px: int
    height_px: int
    text: str
    """What it shows, for those who do not see it."""


@dataclass(frozen=True)
class ImageResult:
    """One image of the gate's split, with what the model made of it."""

    image_id: str
    mean_iou: Number
    pixel_accuracy: Number
    width_px: int
    height_px: int
    image: Picture
    truth: Picture
    prediction: Picture
    error: Picture
    worst_confusion: tuple[int, int, float] | None = None
    """True class, predicted class, and the share of the labelled pixels that went that way."""


@dataclass(frozen=True)
class ImageResults:
    """The images that the page shows, worst first."""

    split: str
    num_ranked: int
    """Images that were scored one by one."""
    is_whole_split: bool
    worst: tuple[ImageResult, ...] = ()
    median: tuple[ImageResult, ...] = ()


@dataclass(frozen=True)
class ComponentState:
    """One component of the run."""

    name: str
    state: str
    """complete, cached, failed, running, interrupted or canceled."""
    seconds: Number
    reused_from: str = ""
    """The run that made what a cached component handed on."""


@dataclass(frozen=True)
class RunOutcome:
    """What the metadata store says of the run as a whole; a component of the run cannot know it yet."""

    status: str
    """running, pushed, not blessed, refused, failed or interrupted."""
    started: str = ""
    """As it is read: ``2026-03-31 08:00``."""
    seconds: Number = None
    blessed: bool | None = None
    error: str = ""
    failed_component: str = ""
    log: str = ""
    """Path; empty if it is not there."""
    components: tuple[ComponentState, ...] = ()
    previous_run: str = ""
    """The run of the same pipeline before this one."""
    changes: tuple[str, ...] = ()
    """What was different from that run: ``trainer.epochs 20 → 30``."""


@dataclass(frozen=True)
class RunFacts:
    """Everything that the page says."""

    name: str
    """Of the pipeline."""
    run_id: str
    classes: ClassTable
    gate_split: str
    verdict: Verdict = Verdict()
    splits: tuple[Score, ...] = ()
    slices: tuple[Score, ...] = ()
    baseline: Baseline | None = None
    history: tuple[Epoch, ...] = ()
    training: Mapping[str, Any] = field(default_factory=dict)
    """training.json of the trainer."""
    tuning: Tuning | None = None
    """None for a run without a Tuner."""
    data: tuple[SplitContent, ...] = ()
    findings: tuple[Finding, ...] = ()
    left_out: LeftOutExamples | None = None
    """None where a bad example would have refused the data."""
    validated_splits: tuple[str, ...] = ()
    """Splits that were held against the schema; empty if none was."""
    images: ImageResults | None = None
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    configuration: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    """Versions of Python and of packages."""
    outcome: RunOutcome | None = None
    lineage: Lineage = field(default_factory=Lineage)
    missing: tuple[str, ...] = ()
    """What could not be read, a sentence each."""

    def score(self, split: str) -> Score | None:
        """Returns the metrics of a split, None if it was not evaluated."""
        return next((score for score in self.splits if score.name == split), None)

    def baseline_score(self, split: str) -> Score | None:
        """Returns the served model's metrics on a split, None if there is no such model."""
        return self.baseline.scores.get(split) if self.baseline else None
