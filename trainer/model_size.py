"""What a network holds and costs: parameters, and the arithmetic of one image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

_CONVOLUTIONS = ("Conv2D", "DepthwiseConv2dNative", "Conv2DBackpropInput")


@dataclass(frozen=True)
class ModelSize:
    """A network in numbers.

    Attributes:
        parameters: all of them, moments of batch normalisation included.
        trainable_parameters: those that training changes.
        flops: floating-point operations for one image at the working size.
    """

    parameters: int
    trainable_parameters: int
    flops: int


def measure_size(network: keras.Model, height_px: int, width_px: int) -> ModelSize:
    """Counts parameters, and the operations of one image of a size."""
    trainable = sum(math.prod(weight.shape) for weight in network.trainable_weights)
    return ModelSize(network.count_params(), trainable, count_flops(network, height_px, width_px))


def count_flops(network: keras.Model, height_px: int, width_px: int) -> int:
    """Counts the floating-point operations of predicting one image.

    Those of convolutions, transposed convolutions and matrix products, a multiplication and an addition each,
    as they are computed: on the padded image, at its borders, too. Normalisation, activations, pooling and
    interpolation are left out; beside these they are little.

    Args:
        network: from images [batch, height, width, 3].
        height_px: of the image.
        width_px: of the image.
    """
    spec = tf.TensorSpec([1, height_px, width_px, 3], tf.float32)
    predict = tf.function(lambda images: network(images, training=False), autograph=False)
    graph = predict.get_concrete_function(spec).graph
    return sum(_count_operation(operation) for operation in graph.get_operations())


def _count_operation(operation: Any) -> int:
    if operation.type == "MatMul":
        rows, inner = operation.inputs[0].shape
        if operation.get_attr("transpose_a"):
            rows, inner = inner, rows
        return int(2 * rows * inner * operation.outputs[0].shape[1])
    if operation.type not in _CONVOLUTIONS:
        return 0
    kernel = operation.inputs[1].shape
    # A transposed convolution does for each input pixel what a convolution does for each output pixel.
    is_transposed = operation.type == "Conv2DBackpropInput"
    moved_over = operation.inputs[2] if is_transposed else operation.outputs[0]
    pixels = math.prod(moved_over.shape[:3])
    return int(2 * pixels * math.prod(kernel))
