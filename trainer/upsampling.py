"""Learned upsampling in three ways. Each starts as interpolation, and none as a checkerboard.

A transposed convolution with random weights answers an even surface with a pattern of its stride, because
each output pixel gets other weights than its neighbours (Odena, Dumoulin, Olah, "Deconvolution and
Checkerboard Artifacts", Distill, 2016). ``Deconvolution2D`` avoids that by its bilinear start,
``ResizeConvolution2D`` by resizing first, and ``SubPixelConvolution2D`` by starting with the same kernel for
all pixels of a cell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer.deconvolution import Deconvolution2D, enlarge_shape
from trainer.model_config import ModelConfig, UpsamplingName

KERNEL_SIZE = 3
"""Side in pixels of the convolutions that go with resizing and with sub-pixels."""


@keras.saving.register_keras_serializable("deconvflow")
class IdentityKernel(keras.initializers.Initializer):
    """Initialises a kernel [height, width, channels, channels] to one that changes nothing."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Returns the kernel: 1 in the middle of the channel diagonal."""
        kernel = np.zeros(shape)
        kernel[shape[0] // 2, shape[1] // 2] = np.eye(shape[2], shape[3])
        return keras.ops.convert_to_tensor(kernel, dtype=dtype or "float32")


@keras.saving.register_keras_serializable("deconvflow")
class RepeatedKernel(keras.initializers.Initializer):
    """ICNR: initialises a sub-pixel convolution to a convolution and nearest-neighbour upsampling.

    Source: Aitken et al., "Checkerboard artifact free sub-pixel convolution", 2017, section 3.

    Args:
        factor: of the upsampling.
        initializer: of the kernel that all pixels of a cell start with.
    """

    def __init__(self, factor: int, initializer: Any = None) -> None:
        self.factor = factor
        self.initializer = keras.initializers.get(initializer or IdentityKernel())

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Returns the kernel [height, width, channels in, factor * factor * channels out]."""
        *rest, filters = shape
        kernel = self.initializer((*rest, filters // self.factor**2), dtype=dtype)
        # tf.nn.depth_to_space takes the channels of a cell's first pixel first.
        return keras.ops.tile(kernel, (1, 1, 1, self.factor**2))

    def get_config(self) -> dict[str, Any]:
        """Returns what is needed to make the initializer again."""
        return {"factor": self.factor, "initializer": keras.initializers.serialize(self.initializer)}


class _Upsampling2D(keras.layers.Layer):
    """What the layers below share: [batch, height, width, channels] enlarged, channels kept.

    Args:
        factor: ratio of output to input size.
        kernel_initializer: None to start as interpolation.
        trainable: False keeps the layer as it starts.
    """

    def __init__(self, factor: int, kernel_initializer: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = factor
        self.kernel_initializer = keras.initializers.get(kernel_initializer or self._interpolate())
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Returns the shape [batch, height * factor, width * factor, channels]."""
        return enlarge_shape(input_shape, self.factor)

    def get_config(self) -> dict[str, Any]:
        """Returns what is needed to make the layer again."""
        initializer = keras.initializers.serialize(self.kernel_initializer)
        return {**super().get_config(), "factor": self.factor, "kernel_initializer": initializer}

    def _interpolate(self) -> Any:
        raise NotImplementedError

    def _add_kernel(self, channels: int | None, filters: int | None) -> Any:
        return self.add_weight(
            name="kernel",
            shape=(KERNEL_SIZE, KERNEL_SIZE, channels, filters),
            initializer=self.kernel_initializer,
        )


class ResizeConvolution2D(_Upsampling2D):
    """Resizes bilinearly, then convolves with a 3x3 kernel (Odena et al., 2016).

    At initialisation it is bilinear upsampling with half-pixel centres.
    """

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Creates the kernel [3, 3, channels, channels]."""
        self.kernel = self._add_kernel(input_shape[-1], input_shape[-1])

    def call(self, inputs: Any) -> Any:
        """Upsamples floating [batch, height, width, channels]."""
        inputs = tf.convert_to_tensor(inputs)
        size = tf.shape(inputs)[1:3] * self.factor
        resized = tf.cast(tf.image.resize(inputs, size, method="bilinear"), inputs.dtype)
        outputs = tf.nn.conv2d(resized, tf.convert_to_tensor(self.kernel, inputs.dtype), 1, "SAME")
        outputs.set_shape(self.compute_output_shape(tuple(inputs.shape)))
        return outputs

    def _interpolate(self) -> Any:
        return IdentityKernel()


class SubPixelConvolution2D(_Upsampling2D):
    """Computes all pixels of a cell by a 3x3 convolution at the input's size, and puts them in place.

    Source: Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
    Convolutional Neural Network", CVPR 2016, section 3.2. At initialisation it repeats each input pixel.
    """

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Creates the kernel [3, 3, channels, factor * factor * channels]."""
        channels = input_shape[-1] or 0
        self.kernel = self._add_kernel(channels, channels * self.factor**2)

    def call(self, inputs: Any) -> Any:
        """Upsamples floating [batch, height, width, channels]."""
        inputs = tf.convert_to_tensor(inputs)
        cells = tf.nn.conv2d(inputs, tf.convert_to_tensor(self.kernel, inputs.dtype), 1, "SAME")
        outputs = tf.nn.depth_to_space(cells, self.factor) if self.factor > 1 else cells
        outputs.set_shape(self.compute_output_shape(tuple(inputs.shape)))
        return outputs

    def _interpolate(self) -> Any:
        return RepeatedKernel(self.factor)


UPSAMPLING: dict[UpsamplingName, Callable[..., Any]] = {
    "deconvolution": Deconvolution2D,
    "resize_convolution": ResizeConvolution2D,
    "sub_pixel": SubPixelConvolution2D,
}


def upsample(inputs: Any, factor: int, name: str, config: ModelConfig, policy: Any = "float32") -> Any:
    """Enlarges [batch, height, width, channels] by the configured layer, which starts as interpolation.

    Args:
        inputs: of a functional model under construction.
        factor: ratio of output to input size.
        name: of the layer.
        config: tells which layer, and whether it learns.
        policy: the layer's dtype policy.
    """
    layer = UPSAMPLING[config.upsampling]
    return layer(factor, trainable=config.train_deconvolution, name=name, dtype=policy)(inputs)
