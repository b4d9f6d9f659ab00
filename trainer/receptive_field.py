"""How far a network looks: which pixels of an image a pixel of its logits depends on.

An image that is cut into tiles gives the same logits as the whole image where each tile comes with as
much of its surroundings as the network looks at, and starts where the network's coarsest grid does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras

from trainer.deconvolution import Deconvolution2D


@dataclass(frozen=True)
class _View:
    """A cell of a tensor stands for a block of pixels; it depends on that block and on what is near."""

    stride_px: float
    reach_px: float


def measure_reach_px(network: keras.Model) -> int:
    """Returns how many pixels beyond its own place a pixel of the logits depends on, in any direction.

    An upper bound, from the layers' kernels and strides: convolutions and poolings with SAME padding on
    sides that their strides divide, and ``Deconvolution2D``. Every other layer counts as pointwise.

    Args:
        network: a functional model from one image to logits of the image's size.
    """
    views: dict[int, _View] = {}
    for layer in network.layers:  # In the order of the computation.
        if isinstance(layer, keras.layers.InputLayer):
            views[id(layer.output)] = _View(1, 0)
            continue
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        seen = [views[id(tensor)] for tensor in inputs]
        view = _View(seen[0].stride_px, max(one.reach_px for one in seen))
        views[id(layer.output)] = _look_through(layer, view)
    return math.ceil(views[id(network.outputs[0])].reach_px)


def _look_through(layer: Any, view: _View) -> _View:
    """Returns what a cell of the layer's output sees, given what a cell of its input sees."""
    stride, reach = view.stride_px, view.reach_px
    if isinstance(layer, Deconvolution2D):
        # A kernel twice as wide as the factor: half a coarse cell beyond the neighbouring one, at most.
        return _View(stride / layer.factor, reach + 1.5 * stride)
    if isinstance(layer, keras.layers.Conv2D):
        size, step = max(layer.kernel_size), max(layer.strides)
    elif isinstance(layer, keras.layers.MaxPooling2D):
        size, step = max(layer.pool_size), max(layer.strides)
    else:
        return view
    before = max(size - step, 0) // 2
    return _View(stride * step, reach + stride * max(before, size - before - step, 0))
