"""Configuration of the data set, of the preprocessing and of the augmentation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Colour = tuple[
    Annotated[int, Field(ge=0, le=255)],
    Annotated[int, Field(ge=0, le=255)],
    Annotated[int, Field(ge=0, le=255)],
]
LayoutName = Literal["folder", "camvid", "voc", "cityscapes"]
MaskEncoding = Literal["id", "palette", "rgb", "binary"]

MAX_CLASSES = 255
FOREGROUND_VALUES = (1, 255)
"""What binary masks hold where the class is, unless the class table says otherwise."""


class FrozenModel(BaseModel):
    """Base of every configuration section: immutable, unknown keys refused, no silent coercion."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ClassConfig(FrozenModel):
    """One row of the class table."""

    id: int = Field(ge=0, lt=MAX_CLASSES)
    name: str = Field(min_length=1, max_length=100, pattern=r"^[^/\x00-\x1f]+$")
    colour: Colour | None = None
    """RGB. The mask's colour where masks are RGB; else only for pictures, and chosen if absent."""
    mask_values: tuple[int, ...] | None = None
    """Values of the mask files that mean this class; the id itself if absent."""


class SplitConfig(FrozenModel):
    """How images are split where the data set has no splits of its own."""

    train: float = Field(0.8, gt=0, le=1)
    val: float = Field(0.1, ge=0, lt=1)
    test: float = Field(0.1, ge=0, lt=1)
    salt: str = ""
    """Changes which image goes where; never change it once models are compared."""

    @model_validator(mode="after")
    def _sums_to_one(self) -> SplitConfig:
        if abs(self.train + self.val + self.test - 1) > 1e-6:
            raise ValueError("train, val and test must sum to 1")
        return self


class DataConfig(FrozenModel):
    """Where images and masks are and what the masks' values mean."""

    root: str = Field(min_length=1)
    layout: LayoutName = "folder"
    images: str = "images"
    """Layout ``folder`` only: the images' folder below root."""
    masks: str = "masks"
    """Layout ``folder`` only: the masks' folder below root."""
    mask_suffix: str = ""
    """Layout ``folder`` only: what a mask's name has behind the image's (``_mask``)."""
    mask_encoding: MaskEncoding = "id"
    classes: tuple[ClassConfig, ...] = Field(min_length=2, max_length=MAX_CLASSES)
    ignore_id: int = Field(255, ge=0, le=255)
    """The id that void pixels have in examples, masks and metrics."""
    void_values: tuple[int, ...] = (255,)
    """Values of the mask files that mean void (id and palette masks)."""
    void_colours: tuple[Colour, ...] = ()
    """Colours of the mask files that mean void (RGB masks)."""
    splits: SplitConfig = SplitConfig()
    attributes: str | None = None
    """A CSV below root: a column ``image_id``, then one column an image-level attribute."""
    on_bad_example: Literal["fail", "quarantine"] = "fail"
    """``fail`` refuses a data set with anything wrong; ``quarantine`` goes on without its bad files and
    lists them in the run's artifacts and report."""
    max_bad_share: float = Field(0.01, ge=0, le=1)
    """With ``quarantine``: a larger share of bad examples refuses the data set all the same."""
    bit_depth: Literal[8, 16] = 8
    """16 keeps all the bits of 16-bit images through Transform, at twice the size."""

    def unsaid_values(self, class_id: int) -> tuple[int, ...]:
        """Returns the values of mask files that mean a class for which the class table names none."""
        return FOREGROUND_VALUES if self.mask_encoding == "binary" and class_id == 1 else (class_id,)

    @model_validator(mode="after")
    def _class_table_is_sound(self) -> DataConfig:
        ids = [entry.id for entry in self.classes]
        if ids != list(range(len(ids))):
            raise ValueError(f"classes must have the ids 0 to {len(ids) - 1} in order, got {ids}")
        names = [entry.name for entry in self.classes]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"class names must differ, repeated: {repeated}")
        if self.ignore_id < len(ids):
            raise ValueError(f"ignore_id {self.ignore_id} is the id of a class; use 255")
        if self.mask_encoding == "rgb" and any(entry.colour is None for entry in self.classes):
            raise ValueError("mask_encoding rgb needs a colour for every class")
        return self

    @model_validator(mode="after")
    def _masks_are_unambiguous(self) -> DataConfig:
        if self.mask_encoding == "binary" and len(self.classes) != 2:
            raise ValueError(f"mask_encoding binary needs exactly 2 classes, got {len(self.classes)}; use id")
        meaning: dict[object, str] = {}
        for entry in self.classes:
            if self.mask_encoding == "rgb":
                meant: tuple[object, ...] = (entry.colour,)
            else:
                meant = entry.mask_values if entry.mask_values is not None else self.unsaid_values(entry.id)
            for value in meant:
                if value in meaning:
                    raise ValueError(f"{value} in a mask means both {meaning[value]} and {entry.name}")
                meaning[value] = entry.name
        # In binary masks 255 is the foreground unless the class table says otherwise.
        void: tuple[object, ...] = () if self.mask_encoding == "binary" else self.void_values
        for value in self.void_colours if self.mask_encoding == "rgb" else void:
            if value in meaning:
                raise ValueError(f"{value} in a mask means both void and {meaning[value]}")
        return self


class TransformConfig(FrozenModel):
    """The working size: what the network sees in training, evaluation and serving.

    Images keep their shape: they are scaled to fit and padded at the bottom and on the right, with
    the channel mean in the image and void in the mask. Predictions go back to each image's own size.
    """

    height_px: int = Field(ge=8, le=8192)
    width_px: int = Field(ge=8, le=8192)


class AugmentConfig(FrozenModel):
    """Random changes to training images; geometry moves image and mask together."""

    scale_min: float = Field(0.75, gt=0, le=10)
    scale_max: float = Field(1.5, gt=0, le=10)
    rotation_degrees: float = Field(5.0, ge=0, le=180)
    shift: float = Field(0.0, ge=0, le=0.5)
    """How far images move beyond the room that scale and crop leave, as a share of the frame's sides."""
    flip_horizontal: bool = True
    flip_vertical: bool = False
    crop_height_px: int | None = Field(None, ge=8, le=8192)
    crop_width_px: int | None = Field(None, ge=8, le=8192)
    brightness: float = Field(0.1, ge=0, le=1)
    """Largest shift, as a share of the full range."""
    contrast: float = Field(0.2, ge=0, lt=1)
    """Contrast is scaled by 1 - contrast to 1 + contrast."""
    saturation: float = Field(0.2, ge=0, lt=1)

    @model_validator(mode="after")
    def _scales_are_ordered(self) -> AugmentConfig:
        if self.scale_min > self.scale_max:
            raise ValueError("scale_min must not exceed scale_max")
        return self
