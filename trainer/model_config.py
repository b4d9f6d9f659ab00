"""Configuration of the network: encoder, head, upsampling, first weights. Imports no TensorFlow."""

from __future__ import annotations

from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from data.config import FrozenModel

BackboneName = Literal[
    "small",
    "small_pooled",
    "vgg16",
    "resnet50",
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "efficientnet_v2_b0",
]
HeadName = Literal["fcn32s", "fcn16s", "fcn8s", "fcn4s", "deconvnet", "segnet", "unet"]
UpsamplingName = Literal["deconvolution", "resize_convolution", "sub_pixel"]

NO_WEIGHTS, IMAGENET = "none", "imagenet"
UNPOOLING_HEADS: tuple[HeadName, ...] = ("deconvnet", "segnet")
POOLED_BACKBONES: tuple[BackboneName, ...] = ("small_pooled", "vgg16")
"""They halve by max pooling alone (small_pooled, from its second halving on), so that it can be undone."""
OWN_BACKBONES: tuple[BackboneName, ...] = ("small", "small_pooled")
"""Nobody has trained these on ImageNet."""


class ModelConfig(FrozenModel):
    """Which network.

    FCN (Long, Shelhamer, Darrell, CVPR 2015), DeconvNet (Noh, Hong, Han, ICCV 2015), SegNet (Badrinarayanan,
    Kendall, Cipolla, PAMI 2017) or U-Net (Ronneberger, Fischer, Brox, MICCAI 2015), on one of the encoders.
    """

    backbone: BackboneName = "small"
    """The small ones suit a CPU, the others are those of keras.applications."""
    head: HeadName = "fcn8s"
    """deconvnet and segnet go with small_pooled and vgg16, the others with every backbone."""
    width: int = Field(32, ge=4, le=512)
    """Channels of the small encoders' first stage; the others have their own."""
    dropout: float = Field(0.1, ge=0, lt=1)
    upsampling: UpsamplingName = "deconvolution"
    """A transposed convolution, a convolution behind bilinear resizing, or a convolution to sub-pixels. Each
    starts as interpolation. In deconvnet and segnet, unpooling takes its place as far as there are pools."""
    train_deconvolution: bool = True
    """False keeps the upsampling, of whichever kind, at interpolation."""
    weights: str = Field(NO_WEIGHTS, min_length=1)
    """none: random ones. imagenet: the backbone's of keras.applications, with its preprocessing. Else a path:
    a Keras .weights.h5 file, or the folder of a pushed version (workspace/serving/NAME/VERSION)."""

    @property
    def weights_path(self) -> str | None:
        """Where the first weights are, if they are somebody's own."""
        return None if self.weights in (NO_WEIGHTS, IMAGENET) else self.weights

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.head in UNPOOLING_HEADS and self.backbone not in POOLED_BACKBONES:
            raise ValueError(
                f"head {self.head} undoes the max pools of its backbone, and {self.backbone} halves by "
                f"strided convolutions: take backbone {' or '.join(POOLED_BACKBONES)}, or head unet or "
                "fcn4s, which go with every backbone"
            )
        if self.weights == IMAGENET and self.backbone in OWN_BACKBONES:
            trained = [name for name in get_args(BackboneName) if name not in OWN_BACKBONES]
            raise ValueError(
                f"there are no weights imagenet for backbone {self.backbone}: take one of "
                f"{', '.join(trained)}, or weights none"
            )
        return self
