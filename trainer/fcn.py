"""FCN-32s, FCN-16s, FCN-8s and one skip more: scores at several strides, fused and upsampled.

Source: Long, Shelhamer, Darrell, "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015,
section 4.2: a 1x1 convolution scores the deepest features; scores are upsampled by 2 and added to those
of the next finer features; a last deconvolution upsamples to the image. Score layers on skips start at
zero, so that a new skip leaves the prediction as it was. Unlike the paper's implementation, which pads
every image by 100 px and crops, convolutions pad by themselves (SAME) and the image is padded only to a
multiple of the total stride.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from trainer.encoded import Encoded
from trainer.model_config import HeadName, ModelConfig
from trainer.prepare_images import TOTAL_STRIDE_PX
from trainer.upsampling import upsample

SKIP_STRIDES: dict[HeadName, tuple[int, ...]] = {
    "fcn32s": (),
    "fcn16s": (16,),
    "fcn8s": (16, 8),
    "fcn4s": (16, 8, 4),
}
"""Strides whose scores are fused, from coarse to fine; the last one is upsampled to the image."""


def build_fcn(encoded: Encoded, num_classes: int, config: ModelConfig, policy: Any) -> Any:
    """Builds the head that ``config.head`` names; returns scores float32 [batch, height, width, classes]."""
    return fuse_scores(encoded.features, SKIP_STRIDES[config.head], num_classes, config, policy)


def fuse_scores(
    features: dict[int, Any], skips: Sequence[int], num_classes: int, config: ModelConfig, policy: Any
) -> Any:
    """Scores the features, fuses them from coarse to fine and upsamples to the padded image.

    Args:
        features: stride in pixels to features [batch, height / stride, width / stride, channels].
        skips: strides to fuse, each half of the one before, the first half of ``TOTAL_STRIDE_PX``.
        num_classes: channels of the scores.
        config: tells how to upsample.
        policy: dtype policy of the score layers.

    Returns:
        Scores float32 [batch, height, width, classes].
    """
    stride = TOTAL_STRIDE_PX
    scores = score(features[stride], num_classes, stride, "glorot_uniform", policy)
    for skip in skips:
        scores = upsample(scores, stride // skip, f"upsample_to_stride{skip}", config)
        skip_scores = score(features[skip], num_classes, skip, "zeros", policy)
        scores = keras.layers.Add(dtype="float32", name=f"fuse_stride{skip}")([scores, skip_scores])
        stride = skip
    return upsample(scores, stride, "upsample_to_image", config)


def score(features: Any, num_classes: int, stride: int, initializer: str, policy: Any) -> Any:
    """Scores every class by a 1x1 convolution."""
    return keras.layers.Conv2D(
        num_classes, 1, kernel_initializer=initializer, name=f"score_stride{stride}", dtype=policy
    )(features)
