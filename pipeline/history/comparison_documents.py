"""What ``compare --json`` prints."""

from __future__ import annotations

from pydantic import Field, JsonValue

from pipeline.history.run_documents import Document, RunRow


class ValueDifference(Document):
    """One key whose values differ among runs."""

    key: str
    values: dict[str, JsonValue] = Field(description="By run id; a run that lacks the key is left out")


class CodeDifference(Document):
    """Which sources differ."""

    recorded: bool = Field(description="Whether every run recorded its source files")
    packages: tuple[ValueDifference, ...] = Field(description="Fingerprints of the packages that differ")
    files: tuple[ValueDifference, ...] = Field(description="SHA-256 of the files that differ")
    components: tuple[ValueDifference, ...] = Field(
        description="Code fingerprints of components, where a run did not record its source files"
    )


class EnvironmentDifference(Document):
    """What the runs ran on."""

    recorded: bool = Field(description="Whether every run recorded its environment")
    values: tuple[ValueDifference, ...] = Field(description="Among those runs that did")


class ImageChange(Document):
    """One image that is not as it was in the reference."""

    id: str
    split: str
    path: str
    from_split: str | None = Field(default=None, description="Of an image that was moved")


class DataDifference(Document):
    """What differs between the data of a run and that of the reference."""

    run_id: str
    same: bool | None
    added: tuple[ImageChange, ...] = ()
    removed: tuple[ImageChange, ...] = ()
    changed_image: tuple[ImageChange, ...] = ()
    changed_mask: tuple[ImageChange, ...] = ()
    moved: tuple[ImageChange, ...] = ()


class MetricComparison(Document):
    """One metric of one split, side by side."""

    split: str
    metric: str = Field(description="A summary, or iou/<class>")
    values: dict[str, float | None] = Field(description="By run id")
    differences: dict[str, float | None] = Field(description="To the first run, by run id")


class ConfusionChange(Document):
    """A pair of classes that is confused more, or less, than in the first run."""

    run_id: str
    split: str
    truth: str
    predicted: str
    before: float = Field(description="Share of the pixels of truth, in the first run")
    after: float
    change: float


class CompareDocument(Document):
    """What ``compare --json`` prints; the first run is what the others are compared with."""

    runs: tuple[RunRow, ...]
    configuration: tuple[ValueDifference, ...]
    code: CodeDifference
    data: tuple[DataDifference, ...]
    environment: EnvironmentDifference
    metrics: tuple[MetricComparison, ...]
    confusion: tuple[ConfusionChange, ...] = Field(description="Those that changed most, by run and split")
    training: tuple[ValueDifference, ...] = Field(
        description="What differs in how training went, from training.json, if every run has one"
    )
    notes: tuple[str, ...]
