"""What ``predict --json`` prints, and what a line of ``predictions.jsonl`` holds."""

from __future__ import annotations

from pydantic import Field

from pipeline.history.run_documents import Document


class PredictedModel(Document):
    """The pushed version that predicted."""

    name: str
    version: int
    path: str
    run_id: str
    model_fingerprint: str


class PredictedInference(Document):
    """Flips, scales and windows whose answers were averaged: the configuration's ``inference``."""

    flip_horizontal: bool
    flip_vertical: bool
    scales: tuple[float, ...]
    window_height_px: int | None = Field(description="Null where images went through in one piece")
    window_width_px: int | None
    window_overlap: float
    window_weighting: str = Field(description="gaussian or uniform")
    window_resolution: str = Field(description="native or working")


class PredictedImage(Document):
    """One image; also a line of predictions.jsonl. What could not be predicted has an error and nulls."""

    image: str = Field(description="Its path, as it was given or found")
    mask: str | None = Field(description="Path of the PNG of class ids, or of colours with --colours")
    overlay: str | None = Field(description="Path of the image blended with the colours; with --overlay")
    height_px: int | None
    width_px: int | None
    mean_confidence: float | None = Field(
        description="Mean over the pixels of the probability of the predicted class, 0 to 1"
    )
    shares: dict[str, float] | None = Field(description="Share of the pixels, 0 to 1, by class")
    seconds: float = Field(description="Its share of the time, reading and writing included")
    tile_px: int | None = Field(description="Side of the tiles at the working size; null if in one piece")
    error: str | None = Field(description="What is wrong with the image, and what to do")


class PredictDocument(Document):
    """What ``predict --json`` prints."""

    model: PredictedModel
    out: str
    lines: str = Field(description="Path of predictions.jsonl")
    inference: PredictedInference
    predicted: int
    failed: int
    seconds: float
    predictions: tuple[PredictedImage, ...] = Field(description="In the order of the images")
    notes: tuple[str, ...]
