"""How a network's answers are made: over flips, scales and windows of an image. Imports no TensorFlow."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from data.config import FrozenModel

Scale = Annotated[float, Field(ge=0.25, le=4)]


class InferenceConfig(FrozenModel):
    """Test-time augmentation and sliding windows; built into the exported model, every signature alike.

    The defaults are one pass over the letterboxed image. Else the probabilities (softmax) of all passes are
    averaged: over scales and mirrored images as Chen et al. do ("Rethinking Atrous Convolution for Semantic
    Image Segmentation", 2017, section 4; "Encoder-Decoder with Atrous Separable Convolution", ECCV 2018,
    section 4), over overlapping windows as Isensee et al. do ("nnU-Net", Nature Methods 18, 2021, online
    methods, inference). Each window has all its flips and scales before windows are averaged.
    """

    flip_horizontal: bool = False
    """Also predict the mirrored image, left and right exchanged. With both flips there are four images."""
    flip_vertical: bool = False
    """Also predict the image upside down: where up is no direction (aerial images, microscopy)."""
    scales: tuple[Scale, ...] = Field((1.0,), min_length=1, max_length=16)
    """Predict the image enlarged and shrunk by these factors; [0.75, 1.0, 1.25], say."""
    window_height_px: int | None = Field(None, ge=32, le=8192)
    """Predict by windows of this height that overlap; null is the whole image at once."""
    window_width_px: int | None = Field(None, ge=32, le=8192)
    window_overlap: float = Field(0.5, ge=0, le=0.9)
    """Share of a window's side that its neighbour covers, at least: windows are spread evenly."""
    window_weighting: Literal["gaussian", "uniform"] = "gaussian"
    """gaussian: pixels count less towards a window's edge, with a deviation of an eighth of its sides."""
    window_resolution: Literal["native", "working"] = "native"
    """native: what is larger than the working size is not shrunk to it, so windows see it at its own
    size. working: windows of the letterboxed image, which need less memory than the whole."""

    @model_validator(mode="after")
    def _is_sound(self) -> InferenceConfig:
        if (self.window_height_px is None) != (self.window_width_px is None):
            raise ValueError("window_height_px and window_width_px go together: set both, or neither")
        if len(set(self.scales)) < len(self.scales):
            raise ValueError(f"scales must differ, got {list(self.scales)}")
        return self

    def is_plain(self) -> bool:
        """Returns whether one pass over the whole letterboxed image is all."""
        return self.window_px() is None and self.variants() == [(1.0, False, False)]

    def window_px(self) -> tuple[int, int] | None:
        """Returns height and width of the windows; None if there are none."""
        if self.window_height_px is None or self.window_width_px is None:
            return None
        return self.window_height_px, self.window_width_px

    def variants(self) -> list[tuple[float, bool, bool]]:
        """Returns what each image or window is predicted as: scale, upside down, mirrored."""
        vertical = (False, True) if self.flip_vertical else (False,)
        horizontal = (False, True) if self.flip_horizontal else (False,)
        return [(scale, up, side) for scale in self.scales for up in vertical for side in horizontal]

    def describe(self) -> str:
        """Returns a phrase for people: "horizontal flip; scales 0.75, 1; windows of 512x512"."""
        parts = []
        flips = [name for name in ("horizontal", "vertical") if getattr(self, f"flip_{name}")]
        if flips:
            parts.append(f"{' and '.join(flips)} flip")
        if self.scales != (1.0,):
            parts.append(f"scales {', '.join(f'{scale:g}' for scale in self.scales)}")
        if window := self.window_px():
            parts.append(
                f"{self.window_weighting} windows of {window[0]}x{window[1]} px at the "
                f"{self.window_resolution} resolution, overlap {self.window_overlap:g}"
            )
        return "; ".join(parts) or "one pass"
