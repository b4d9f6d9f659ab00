"""Encoders: images to features at strides 4, 8, 16 and 32.

``vgg16`` is the paper's (Long, Shelhamer, Darrell, CVPR 2015, section 4.1), its dense layers cast into
convolutions. ``small`` suits a CPU: two strided convolutions come first, because narrow layers at full
resolution are what costs there, and plain 3x3 convolutions, because depthwise ones are slow on CPUs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from trainer.batch_normalization import SynchronizedBatchNormalization
from trainer.config import BackboneName, ModelConfig

TOTAL_STRIDE_PX = 32
"""Image sides must be multiples of it; fcn.py pads."""

Features = dict[int, Any]
"""Stride in pixels to features [batch, height / stride, width / stride, channels]."""


def build_small_encoder(images: Any, width: int, dropout: float, policy: Any) -> Features:
    """Builds the small residual encoder.

    Args:
        images: normalised images [batch, height, width, 3], sides multiples of 32.
        width: channels at stride 4; twice as many at stride 8, four times as many from stride 16 on.
        dropout: share of the deepest features that training drops.
        policy: the layers' dtype policy.

    Returns:
        Features at strides 4, 8, 16 and 32.
    """
    features: Features = {}
    x = _convolve_normalized(images, width // 2, 2, "stem", policy)
    for stage, stride in enumerate((4, 8, 16, 32)):
        filters, name = width * min(2**stage, 4), f"stride{stride}"
        x = _convolve_normalized(x, filters, 2, f"{name}_reduce", policy)
        x = _add_residual(x, filters, f"{name}_block", policy)
        features[stride] = x
    features[32] = keras.layers.Dropout(dropout, name="stride32_dropout", dtype=policy)(x)
    return features


def build_vgg16_encoder(
    images: Any, dropout: float, policy: Any, width: int = 64, dense_width: int = 4096
) -> Features:
    """Builds VGG16 with its dense layers as convolutions, from random weights.

    Args:
        images: normalised images [batch, height, width, 3], sides multiples of 32.
        dropout: after each of the two convolutions that were dense layers.
        policy: the layers' dtype policy.
        width: channels of the first block; 64 is VGG16.
        dense_width: channels of fc6 and fc7; 4096 is VGG16.

    Returns:
        Features at strides 4, 8 and 16 (pool2, pool3, pool4) and at 32 (fc7).
    """
    features: Features = {}
    x = images
    for block, convolutions in enumerate((2, 2, 3, 3, 3), start=1):
        filters = width * min(2 ** (block - 1), 8)
        for index in range(1, convolutions + 1):
            x = _convolve(x, filters, 3, f"block{block}_conv{index}", policy)
        x = keras.layers.MaxPooling2D(2, name=f"block{block}_pool", dtype=policy)(x)
        features[2**block] = x
    for name, kernel_size in (("fc6", 7), ("fc7", 1)):
        x = _convolve(x, dense_width, kernel_size, name, policy)
        x = keras.layers.Dropout(dropout, name=f"{name}_dropout", dtype=policy)(x)
    features[32] = x
    return features


def _build_small(images: Any, config: ModelConfig, policy: Any) -> Features:
    return build_small_encoder(images, config.width, config.dropout, policy)


def _build_vgg16(images: Any, config: ModelConfig, policy: Any) -> Features:
    return build_vgg16_encoder(images, config.dropout, policy)


ENCODERS: dict[BackboneName, Callable[[Any, ModelConfig, Any], Features]] = {
    "small": _build_small,
    "vgg16": _build_vgg16,
}


def _convolve(x: Any, filters: int, kernel_size: int, name: str, policy: Any) -> Any:
    """A convolution with bias and ReLU, as in VGG16."""
    return keras.layers.Conv2D(
        filters,
        kernel_size,
        padding="same",
        activation="relu",
        kernel_initializer="he_normal",
        name=name,
        dtype=policy,
    )(x)


def _convolve_normalized(
    x: Any, filters: int, stride: int, name: str, policy: Any, activate: bool = True
) -> Any:
    """A 3x3 convolution without bias, batch normalisation and (unless told otherwise) ReLU."""
    x = keras.layers.Conv2D(
        filters,
        3,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
        dtype=policy,
    )(x)
    x = SynchronizedBatchNormalization(name=f"{name}_norm", dtype=policy)(x)
    return keras.layers.ReLU(name=f"{name}_relu", dtype=policy)(x) if activate else x


def _add_residual(x: Any, filters: int, name: str, policy: Any) -> Any:
    """Two convolutions beside an identity (He et al., CVPR 2016, figure 2)."""
    y = _convolve_normalized(x, filters, 1, f"{name}_1", policy)
    y = _convolve_normalized(y, filters, 1, f"{name}_2", policy, activate=False)
    y = keras.layers.Add(name=f"{name}_add", dtype=policy)([x, y])
    return keras.layers.ReLU(name=f"{name}_relu", dtype=policy)(y)
