"""What ``lineage --json`` prints."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue

from pipeline.history.run_documents import Document


class LineageNode(Document):
    """A node of the graph."""

    id: str
    kind: Literal["model", "run", "component", "artifact", "images", "image"]
    label: str
    properties: dict[str, JsonValue] = Field(default={})
    files: tuple[str, ...] = ()


class LineageEdge(Document):
    """An edge, in the direction in which data flows."""

    source: str
    target: str
    role: str


class SourceImage(Document):
    """A source file pair of the data that something was made from."""

    id: str
    split: str
    image_path: str
    mask_path: str
    image_sha256: str
    mask_sha256: str
    snapshot: int = Field(description="Id of the snapshot artifact that names it")


class Sighting(Document):
    """A run that had an image in its data."""

    image_id: str
    run_id: str
    pipeline: str
    started: float
    status: str
    split: str
    image_path: str
    image_sha256: str
    mask_sha256: str
    trained: bool = Field(description="Whether a model came out that was trained on this image")
    model_uri: str | None
    pushed: str | None = Field(description="NAME/VERSION")
    served: bool = Field(description="Whether that version is still in its serving folder")


class LineageDocument(Document):
    """What ``lineage --json`` prints."""

    kind: Literal["model", "run", "image"]
    subject: str = Field(description="Id of the node that was asked for")
    nodes: tuple[LineageNode, ...]
    edges: tuple[LineageEdge, ...]
    images: tuple[SourceImage, ...] = Field(description="Every source image; empty where kind is image")
    sightings: tuple[Sighting, ...] = Field(description="Only where kind is image")
    notes: tuple[str, ...]
