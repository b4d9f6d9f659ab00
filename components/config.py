"""Configuration of the gates around the model. Imports no TFX."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from data.config import FrozenModel
from data.find_near_duplicates import MAX_DISTANCE, Action, NearDuplicateRule
from data.hash_thumbnail import HASH_BITS

SplitName = Literal["train", "val", "test"]
ExtraFormat = Literal["tflite", "onnx"]
WeightsType = Literal["float32", "float16"]


class DataGateConfig(FrozenModel):
    """When the data stops a run. Distances are L-infinity or Jensen-Shannon, from 0 to 1."""

    max_void_share: float = Field(0.95, ge=0, le=1)
    """No image may be void to a larger share."""
    max_split_skew: float | None = Field(0.95, ge=0, le=1)
    """Between the train split and each other split, for every decoded fact. 1 is nothing in common.

    Honest splits can be far apart: CamVid's are whole videos, and up to 0.84 from each other.
    """
    max_drift: float | None = Field(0.3, ge=0, le=1)
    """Between the data of the served model and this data, for every decoded fact."""
    near_duplicates: Action = "warn"
    """What is done about images that look like one in another split: warn names them, fail stops the run and
    refuses them in ``check``, ignore does not look. Exact copies are refused whatever it says."""
    near_duplicate_distance: int = Field(MAX_DISTANCE, ge=0, le=HASH_BITS // 4)
    """So many of the 256 bits of two images' perceptual hashes may be different."""

    def near_duplicate_rule(self) -> NearDuplicateRule:
        """Returns what is done about near-duplicates."""
        return NearDuplicateRule(self.near_duplicates, self.near_duplicate_distance)


class GatesConfig(FrozenModel):
    """When a model has earned its push. Keys are metric names: mean_iou, pixel_accuracy, iou/road ..."""

    floors: dict[str, float] = Field(default_factory=lambda: {"mean_iou": 0.0})
    """Absolute lower bounds."""
    max_drop: dict[str, float] = Field(default_factory=lambda: {"mean_iou": 0.01})
    """How much worse than the last pushed model each metric may be."""

    @model_validator(mode="after")
    def _has_a_floor(self) -> GatesConfig:
        if not self.floors:
            raise ValueError("floors must hold at least one metric: without one, any first model passes")
        for name, value in (*self.floors.items(), *self.max_drop.items()):
            if not 0 <= value <= 1:
                raise ValueError(f"{name}: {value} is not between 0 and 1")
        return self


class EvaluationConfig(FrozenModel):
    """What is evaluated, how it is sliced, and the gates."""

    splits: tuple[SplitName, ...] = ("val", "test")
    gate_split: SplitName = "test"
    slices: tuple[tuple[str, ...], ...] = ()
    """Each a list of attributes (columns of the attributes' CSV, or image/format and the like)."""
    gates: GatesConfig = GatesConfig()

    @model_validator(mode="after")
    def _gate_split_is_evaluated(self) -> EvaluationConfig:
        if self.gate_split not in self.splits:
            raise ValueError(f"gate_split {self.gate_split} must be one of splits {list(self.splits)}")
        return self


class SmokeTestConfig(FrozenModel):
    """The last check before a push."""

    images: int = Field(8, ge=1, le=1000)
    """So many images of the gate's split go through every signature."""


class PushConfig(FrozenModel):
    """Where models go."""

    root: str | None = None
    """The folder, or the s3:// or gs:// address, below which each pipeline has its versions: ROOT/NAME/1,
    ROOT/NAME/2, ... A relative one starts at the YAML file's folder; None is the workspace's serving."""
    extra_formats: tuple[ExtraFormat, ...] = ()
    """What the network is pushed as besides the SavedModel: tflite (model.tflite), onnx (model.onnx). Each is
    held against the SavedModel on images of the gate's split, and refused if it says something else."""
    tflite_weights: WeightsType = "float32"
    """float16 halves model.tflite."""

    @model_validator(mode="after")
    def _formats_fit(self) -> PushConfig:
        if len(set(self.extra_formats)) < len(self.extra_formats):
            raise ValueError(f"extra_formats {list(self.extra_formats)} names a format twice")
        if self.tflite_weights != "float32" and "tflite" not in self.extra_formats:
            raise ValueError("tflite_weights is for the format tflite, which extra_formats does not name")
        return self

    def wanted_formats(self) -> dict[ExtraFormat, WeightsType]:
        """Returns the type of the weights of each extra format."""
        weights: dict[ExtraFormat, WeightsType] = {"tflite": self.tflite_weights, "onnx": "float32"}
        return {name: weights[name] for name in self.extra_formats}


class StorageConfig(FrozenModel):
    """How object stores are reached. Credentials come from the environment only."""

    s3_endpoint_url: str | None = Field(None, pattern=r"^https?://[^\s/@]+(/[^\s@]*)?$")
    """Where s3:// is, if not at Amazon: MinIO's address. AWS_ENDPOINT_URL_S3 and AWS_ENDPOINT_URL of the
    environment have precedence."""


class BeamConfig(FrozenModel):
    """Arguments of every Beam component, as on Beam's own command line."""

    args: tuple[str, ...] = ()
