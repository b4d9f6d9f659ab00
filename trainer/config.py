"""Configuration of the network and of its training. Imports no TensorFlow."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from data.config import FrozenModel
from trainer.loss_config import PIXEL_LOSSES, SMOOTHED_LOSSES, CrossEntropyConfig, LossConfig
from trainer.model_config import ModelConfig

Precision = Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"]
ClassWeighting = Literal["none", "median_frequency", "inverse", "inverse_sqrt"]


class TrainerConfig(FrozenModel):
    """The training loop."""

    model: ModelConfig = ModelConfig()
    batch_size: int = Field(16, ge=1, le=65536)
    """Global batch size, divided among the devices."""
    accumulate_steps: int = Field(1, ge=1, le=1024)
    """Batches whose gradients make up one step: as one batch of so many times the size, in less memory."""
    epochs: int = Field(30, ge=1)
    max_minutes: float | None = Field(None, gt=0)
    """Training ends after so many minutes; the learning-rate schedule is fitted to it."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = Field(2e-3, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    warmup_share: float = Field(0.05, ge=0, lt=1)
    """Share of the steps over which the learning rate rises; the schedule follows."""
    schedule: Literal["cosine", "polynomial"] = "cosine"
    """How the learning rate falls to 0."""
    polynomial_power: float = Field(0.9, gt=0, le=10)
    """Of the share of steps that is left, in the polynomial schedule."""
    gradient_clip_norm: float | None = Field(1.0, gt=0)
    ema_momentum: float | None = Field(None, gt=0, lt=1)
    """Exported weights are an exponential moving average of the trained ones."""
    losses: tuple[LossConfig, ...] = Field((CrossEntropyConfig(),), min_length=1)
    """Their weighted sum is trained on."""
    class_weighting: ClassWeighting = "none"
    """How pixels weigh by their true class, in cross_entropy, focal and hard_pixels."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of the target that is spread over all classes, in cross_entropy and hard_pixels."""
    devices: int | Literal["auto"] = "auto"
    """auto: all GPUs, or one CPU device. A number: so many GPUs, or logical CPU devices without any."""
    precision: Precision = "auto"
    """auto: half precision where the hardware has it. CPUs without it train in float32 whatever is set."""
    seed: int = Field(0, ge=0)
    deterministic: bool = False
    """Kernels that give the same bits again on GPUs, too; slower there. One CPU device needs no such word."""
    validate_every_epochs: int = Field(1, ge=1)
    early_stopping_epochs: int | None = Field(None, ge=1)
    """Training ends once the validation split's mean IoU has not risen for so many epochs."""
    cache_in_memory_bytes: int = Field(2_000_000_000, ge=0)
    """Decoded training data up to this size stays in memory."""

    @property
    def images_per_step(self) -> int:
        """Images that one change of the weights comes from, over all devices."""
        return self.batch_size * self.accumulate_steps

    @model_validator(mode="after")
    def _batch_divides(self) -> TrainerConfig:
        if isinstance(self.devices, int):
            if self.devices < 1:
                raise ValueError("devices must be auto or at least 1")
            if self.batch_size % self.devices:
                raise ValueError(f"batch_size {self.batch_size} must be a multiple of devices {self.devices}")
        return self

    @model_validator(mode="after")
    def _losses_fit(self) -> TrainerConfig:
        names = [loss.name for loss in self.losses]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"losses must differ, repeated: {', '.join(repeated)}; give one a larger weight")
        for key, is_set, users in (
            ("class_weighting", self.class_weighting != "none", PIXEL_LOSSES),
            ("label_smoothing", self.label_smoothing > 0, SMOOTHED_LOSSES),
        ):
            if is_set and not set(users) & set(names):
                raise ValueError(f"{key} has no effect on {', '.join(names)}; add {' or '.join(users)}")
        return self
