"""U-Net: a decoder that joins the encoder's features at every stride.

Source: Ronneberger, Fischer, Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI
2015, section 2 and figure 1: each step up halves the channels and doubles the size, concatenates the
encoder's features of that size, and convolves twice with 3x3 kernels. Unlike theirs, convolutions pad (SAME),
batch normalisation follows each, and a step up is a 1x1 convolution and then the upsampling layer, which
starts as interpolation. Encoders that begin with a strided convolution have no features at the image's size:
scores are upsampled by the rest.
"""

from __future__ import annotations

from typing import Any

import keras

from trainer.blocks import convolve_normalized
from trainer.encoded import Encoded
from trainer.fcn import score
from trainer.model_config import ModelConfig
from trainer.prepare_images import TOTAL_STRIDE_PX
from trainer.upsampling import upsample

MOST_FILTERS = 512
"""The paper's decoder has no more; encoders like ResNet's do."""


def build_unet(encoded: Encoded, num_classes: int, config: ModelConfig, policy: Any) -> Any:
    """Builds the decoder; returns scores float32 [batch, height, width, classes]."""
    x, stride = encoded.features[TOTAL_STRIDE_PX], TOTAL_STRIDE_PX
    for skip_stride in sorted(encoded.skips, reverse=True):
        skip, name = encoded.skips[skip_stride], f"decode_stride{skip_stride}"
        filters = min(skip.shape[-1], MOST_FILTERS)
        x = keras.layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_halve", dtype=policy)(x)
        x = upsample(x, stride // skip_stride, f"upsample_to_stride{skip_stride}", config, policy)
        x = keras.layers.Concatenate(name=f"{name}_join", dtype=policy)([skip, x])
        for number in (1, 2):
            x = convolve_normalized(x, filters, f"{name}_{number}", policy)
        stride = skip_stride
    scores = score(x, num_classes, stride, "glorot_uniform", policy)
    if stride > 1:
        return upsample(scores, stride, "upsample_to_image", config)
    return keras.layers.Activation("linear", name="scores", dtype="float32")(scores)
