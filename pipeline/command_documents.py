"""What ``run``, ``check`` and ``init`` print with ``--json``, and what every command prints that refuses.

The documents of the commands that ask about runs are in ``pipeline.history``. The same holds for all:
keys may be added, and those that are here keep their names and meanings.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue

from pipeline.history.run_documents import (
    Document,
    GateDocument,
    NearDuplicatesDocument,
    QuarantineDocument,
    RunRow,
)


class ComponentState(Document):
    """One component of a run, in the order in which they started."""

    id: str
    state: str = Field(description="complete, cached, failed, running or canceled")
    seconds: float


class RunDocument(RunRow):
    """What ``run --json`` prints."""

    components: tuple[ComponentState, ...]
    gates: tuple[GateDocument, ...] = Field(description="Empty if the run did not get that far")
    problems: tuple[str, ...] = Field(description="Sentences on what a component refused")


class ProblemDocument(Document):
    """One thing that is wrong with a data set, a configuration or a command."""

    where: str = Field(description="The file, or the full path of the configuration's key")
    what: str
    remedy: str
    code: str = Field(description="Short stable name of the kind of problem")
    sentence: str = Field(description="All of it, for people")


class RefusalDocument(Document):
    """What any command prints that refuses what it was given; its exit status is 2."""

    status: Literal["refused"] = "refused"
    problems: tuple[ProblemDocument, ...]


class ClassFacts(Document):
    """One class in one split."""

    pixels: int
    share: float = Field(description="Of the pixels that are not void")
    images: int


class SplitDocument(Document):
    """What the sound pairs of a split hold."""

    pairs: int = Field(description="Listed pairs, sound or not")
    void_pixels: int
    classes: dict[str, ClassFacts] = Field(description="By class")


class SizeDocument(Document):
    """One size of images, as displayed."""

    width_px: int
    height_px: int
    images: int


class CheckDocument(Document):
    """What ``check --config FILE --json`` prints: what a data set holds and what is wrong with it."""

    root: str
    layout: str
    ok: bool = Field(description="Whether there is no problem")
    pairs: int
    examined: int = Field(description="So many pairs were opened")
    largest_void_share: float = Field(description="Of the image that is void to the largest part")
    split_distances: dict[str, dict[str, float]] = Field(
        description="By split and feature: how far its distribution is from train's, 0 to 1"
    )
    own_splits: bool = Field(description="Whether the data set brings its splits")
    splits: dict[str, SplitDocument]
    sizes: tuple[SizeDocument, ...] = Field(description="The most frequent first")
    kinds: dict[str, int] = Field(description="Images by format, channels and bit depth")
    attributes: tuple[str, ...]
    fingerprint: str | None = Field(
        description="Of the content; null if there are problems or not all pairs were opened"
    )
    problems: tuple[ProblemDocument, ...]
    quarantine: QuarantineDocument | None = Field(
        default=None, description="What is left out; null unless data.on_bad_example is quarantine"
    )
    near_duplicates: NearDuplicatesDocument | None = Field(
        default=None, description="Null if data_gate.near_duplicates is ignore"
    )
    warnings: tuple[str, ...]
    notes: tuple[str, ...]


class WorkingSize(Document):
    """The size at which a network is to be trained."""

    height_px: int
    width_px: int


class RecognisedDocument(Document):
    """What ``check FOLDER --json`` prints: what a folder seems to be, and its check."""

    name: str = Field(description="For the pipeline, from the folder's name")
    layout: str
    mask_encoding: str
    data: dict[str, JsonValue] = Field(description="The section data of a configuration")
    class_names_from: str
    working_size: WorkingSize
    warnings: tuple[str, ...]
    report: CheckDocument


class InitDocument(RecognisedDocument):
    """What ``init --json`` prints."""

    config: str = Field(description="The file that was written")
