"""Configuration of the search for hyper-parameters: the section ``tuner``. Imports no TensorFlow."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue, model_validator

from data.config import FrozenModel

Algorithm = Literal["random", "bayesian", "hyperband"]


class SpaceEntry(FrozenModel):
    """The values that one key may take: either ``choice``, or the range from ``min`` to ``max``."""

    choice: tuple[JsonValue, ...] | None = Field(None, min_length=2)
    """Values of any kind, lists and mappings among them."""
    min: int | float | None = None
    max: int | float | None = None
    """Taken itself, too, unless ``step`` jumps over it."""
    step: int | float | None = Field(None, gt=0)
    """Distance of the values that are tried, or their ratio with ``sampling: log``."""
    sampling: Literal["linear", "log"] = "linear"
    """log for what differs by factors, as learning rates do."""

    @model_validator(mode="after")
    def _is_one_of_both(self) -> SpaceEntry:
        if self.choice is not None:
            if (self.min, self.max, self.step, self.sampling) != (None, None, None, "linear"):
                raise ValueError("choice stands alone; min, max, step and sampling are for ranges")
            return self
        if self.min is None or self.max is None:
            raise ValueError("give either choice, or min and max")
        if self.min >= self.max:
            raise ValueError(f"min {self.min} must be less than max {self.max}")
        if self.sampling == "log" and self.min <= 0:
            raise ValueError("sampling log needs a min above 0")
        if self.sampling == "log" and self.step is not None and self.step <= 1:
            raise ValueError("with sampling log, step is a ratio and must be more than 1")
        return self


class TunerConfig(FrozenModel):
    """Trials of hyper-parameters before the training, which then takes the best trial's values."""

    space: dict[str, SpaceEntry] = Field(min_length=1)
    """By the full path of a key of ``trainer`` or ``augment``: trainer.learning_rate."""
    max_trials: int = Field(10, ge=1, le=1000)
    """There may be fewer: where the space has fewer values, or hyperband is done."""
    objective: Literal["mean_iou"] = "mean_iou"
    """The best epoch's, on the val split at working size; as the training chooses its weights."""
    algorithm: Algorithm = "random"
    """random; bayesian: by a Gaussian process of the scores so far; hyperband: many short trials, and the
    best of them again with more epochs."""
    epochs: int | None = Field(None, ge=1)
    """Of a trial (with hyperband, of the longest); None for trainer.epochs."""
    max_minutes: float | None = Field(None, gt=0)
    """Of a trial; None for trainer.max_minutes."""
    seed: int = Field(0, ge=0)
    """Of the values that are tried; every trial is trained with trainer.seed."""
