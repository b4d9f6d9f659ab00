"""The deconvolution layer: a transposed convolution that starts as bilinear upsampling.

Source: Long, Shelhamer, Darrell, "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015,
section 3.3 (upsampling is backwards strided convolution) and section 4.2 (initialised to bilinear
interpolation, then learned, or fixed).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray


def kernel_size_of(factor: int) -> int:
    """Returns the side in pixels of the kernel that interpolates bilinearly by ``factor``."""
    return 2 * factor - factor % 2


def bilinear_profile(kernel_size: int) -> NDArray[np.float64]:
    """Computes one axis of the bilinear kernel.

    Args:
        kernel_size: side of the kernel in pixels.

    Returns:
        float64 [kernel_size]: ``1 - |i - c| / f`` with ``f = ceil(kernel_size / 2)`` and
        ``c = (kernel_size - 1) / 2``. A triangle in the middle of the kernel.
    """
    half_width = -(-kernel_size // 2)
    centre = (kernel_size - 1) / 2
    profile: NDArray[np.float64] = 1 - np.abs(np.arange(kernel_size) - centre) / half_width
    return profile


@keras.saving.register_keras_serializable("deconvflow")
class BilinearKernel(keras.initializers.Initializer):
    """Initialises a kernel [height, width, out_channels, in_channels] to bilinear upsampling.

    Every channel is upsampled by itself: the weights sit on the channel diagonal, the rest is 0.
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Returns the kernel.

        Raises:
            ValueError: the kernel is not square, or its channels in and out differ.
        """
        height, width, out_channels, in_channels = shape
        if height != width or out_channels != in_channels:
            raise ValueError(f"a bilinear kernel is square in space and in channels, not {tuple(shape)}")
        profile = bilinear_profile(height)
        kernel = np.einsum("i,j,oc->ijoc", profile, profile, np.eye(out_channels))
        return keras.ops.convert_to_tensor(kernel, dtype=dtype or "float32")


class Deconvolution2D(keras.layers.Layer):
    """Upsamples by an integer factor with a transposed convolution.

    As it comes, its output at initialisation is the bilinear upsampling of the input with half-pixel
    centres, except within half a kernel of the borders, beyond which the input counts as 0. Channels keep
    their number; once trained they may mix. With another kernel it is a transposed convolution like any.

    Args:
        factor: the stride, and the ratio of output to input size.
        filters: channels of the output; None keeps the input's.
        kernel_size: side of the kernel in pixels, at least ``factor``; None for the one that interpolates.
        kernel_initializer: of the kernel [kernel, kernel, channels out, channels in]; None for bilinear.
        trainable: False keeps the layer as it starts: at bilinear interpolation.

    Input: floating [batch, height, width, channels].
    Output: floating [batch, height * factor, width * factor, filters].
    """

    def __init__(
        self,
        factor: int,
        filters: int | None = None,
        kernel_size: int | None = None,
        kernel_initializer: Any = None,
        **kwargs: Any,
    ) -> None:
        if factor < 1:
            raise ValueError(f"factor must be at least 1, got {factor}")
        if kernel_size is not None and kernel_size < factor:
            raise ValueError(f"a kernel of {kernel_size} leaves gaps at a factor of {factor}")
        super().__init__(**kwargs)
        self.factor = factor
        self.filters = filters
        self.kernel_size = kernel_size or kernel_size_of(factor)
        self.kernel_initializer = keras.initializers.get(kernel_initializer or BilinearKernel())
        self.input_spec = keras.layers.InputSpec(ndim=4)

    @property
    def starts_as_interpolation(self) -> bool:
        """Whether it upsamples bilinearly until it is trained."""
        return isinstance(self.kernel_initializer, BilinearKernel)

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Creates the kernel [kernel, kernel, channels out, channels in]."""
        side, channels = self.kernel_size, input_shape[-1]
        self.kernel = self.add_weight(
            name="kernel",
            shape=(side, side, self.filters or channels, channels),
            initializer=self.kernel_initializer,
        )

    def call(self, inputs: Any) -> Any:
        """Upsamples [batch, height, width, channels]."""
        inputs = tf.convert_to_tensor(inputs)
        kernel = tf.convert_to_tensor(self.kernel, dtype=inputs.dtype)
        shape = tf.shape(inputs)
        height, width = shape[1] * self.factor, shape[2] * self.factor
        output_shape = tf.stack([shape[0], height, width, kernel.shape[2]])
        outputs = tf.nn.conv2d_transpose(inputs, kernel, output_shape, strides=self.factor, padding="SAME")
        outputs.set_shape(self.compute_output_shape(tuple(inputs.shape)))
        return outputs

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Returns the shape [batch, height * factor, width * factor, filters]."""
        return enlarge_shape(input_shape, self.factor, self.filters)

    def get_config(self) -> dict[str, Any]:
        """Returns what is needed to make the layer again."""
        return {
            **super().get_config(),
            "factor": self.factor,
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


def enlarge_shape(
    shape: Sequence[int | None], factor: int, filters: int | None = None
) -> tuple[int | None, ...]:
    """Returns [batch, height, width, channels] upsampled by a factor, with other channels if ``filters``."""
    batch, height, width, channels = shape
    sides = (None if side is None else side * factor for side in (height, width))
    return (batch, *sides, filters or channels)
