"""How much memory a network needs to predict: what must be held at once for each pixel of an image."""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf

from trainer.batch_normalization import SynchronizedBatchNormalization
from trainer.deconvolution import Deconvolution2D
from trainer.prepare_images import CropToImage
from trainer.receptive_field import View, trace_views
from trainer.unpooling import MaxUnpooling2D
from trainer.upsampling import ResizeConvolution2D, SubPixelConvolution2D

# Computed in their input's memory where nobody needs it any more, or as part of the convolution before.
_IN_PLACE = (
    keras.layers.Activation,
    keras.layers.Add,
    keras.layers.BatchNormalization,
    keras.layers.Dropout,
    keras.layers.Multiply,
    keras.layers.ReLU,
    CropToImage,
    SynchronizedBatchNormalization,
)


def measure_pixel_bytes(network: keras.Model) -> int:
    """Returns the most bytes that a network holds at once for each pixel of an image.

    Walks the layers in their order, and adds up the features that later ones still need and what a layer
    needs beside its output while it works. What is only as large as a kernel or a channel is left out.

    Args:
        network: a functional model from images float32 to logits of the image's size.
    """
    views, operations = trace_views(network), network.operations
    last_use = {id(tensor): index for index, one in enumerate(operations) for tensor in _inputs(one)}
    last_use |= {id(tensor): len(operations) for tensor in network.outputs}
    sizes = {
        id(tensor): _count_bytes(tensor, views[id(tensor)]) if id(tensor) in last_use else 0.0
        for operation in operations
        for tensor in keras.tree.flatten(operation.output)
    }
    held = peak = 0.0
    for index, operation in enumerate(operations):
        made = sum(sizes[id(tensor)] for tensor in keras.tree.flatten(operation.output))
        freed = sum(sizes[key] for key in {id(t) for t in _inputs(operation)} if last_use[key] == index)
        shared = min(made, freed) if isinstance(operation, _IN_PLACE) else 0.0
        peak = max(peak, held + made - shared + _count_working_bytes(operation, made))
        held += made - freed
    return math.ceil(peak)


def _inputs(operation: Any) -> list[Any]:
    return [] if isinstance(operation, keras.layers.InputLayer) else keras.tree.flatten(operation.input)


def _count_bytes(tensor: Any, view: View) -> float:
    """Returns the bytes of features for a pixel of the image; 0 for a value of the whole image."""
    if len(tensor.shape) != 4 or tensor.shape[1] is not None:
        return 0.0
    return float(tf.as_dtype(tensor.dtype).size * tensor.shape[-1] / view.stride_px**2)


def _count_working_bytes(layer: Any, made: float) -> float:
    """Returns what a layer holds while it works, beside its input and its output of ``made`` bytes."""
    if isinstance(layer, Deconvolution2D):
        # TensorFlow's kernel writes each product down before it adds them up.
        return made * (layer.kernel_size / layer.factor) ** 2
    if isinstance(layer, MaxUnpooling2D):
        # Four quarters, two halves, and the whole.
        return 2 * made
    if isinstance(layer, ResizeConvolution2D | SubPixelConvolution2D):
        return made
    return 0.0
