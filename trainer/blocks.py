"""Convolutions as encoders and decoders are made of them."""

from __future__ import annotations

from typing import Any

import keras

from trainer.batch_normalization import SynchronizedBatchNormalization


def convolve(x: Any, filters: int, kernel_size: int, name: str, policy: Any) -> Any:
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


def convolve_normalized(
    x: Any,
    filters: int,
    name: str,
    policy: Any,
    *,
    stride: int = 1,
    kernel_size: int = 3,
    activate: bool = True,
    layer_name: str | None = None,
) -> Any:
    """A convolution without bias, batch normalisation and (unless told otherwise) ReLU."""
    x = keras.layers.Conv2D(
        filters,
        kernel_size,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=layer_name or f"{name}_conv",
        dtype=policy,
    )(x)
    return normalize(x, name, policy, activate)


def normalize(x: Any, name: str, policy: Any, activate: bool = True) -> Any:
    """Batch normalisation and (unless told otherwise) ReLU."""
    x = SynchronizedBatchNormalization(name=f"{name}_norm", dtype=policy)(x)
    return keras.layers.ReLU(name=f"{name}_relu", dtype=policy)(x) if activate else x


def add_residual(x: Any, filters: int, name: str, policy: Any) -> Any:
    """Two convolutions beside an identity (He et al., CVPR 2016, figure 2)."""
    y = convolve_normalized(x, filters, f"{name}_1", policy)
    y = convolve_normalized(y, filters, f"{name}_2", policy, activate=False)
    y = keras.layers.Add(name=f"{name}_add", dtype=policy)([x, y])
    return keras.layers.ReLU(name=f"{name}_relu", dtype=policy)(y)
