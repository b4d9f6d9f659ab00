"""How far a network looks: which pixels of an image a pixel of its logits depends on.

An image that is cut into tiles gives the same logits as the whole image where each tile comes with as
much of its surroundings as the network looks at, and starts where the network's coarsest grid does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from trainer.deconvolution import Deconvolution2D
from trainer.unpooling import MaxPooling2DWithPlaces, MaxUnpooling2D
from trainer.upsampling import KERNEL_SIZE, ResizeConvolution2D, SubPixelConvolution2D


@dataclass(frozen=True)
class View:
    """Cell i of a tensor depends on the pixels ``i * stride_px + first_px`` to before ``... + end_px``."""

    stride_px: float
    first_px: float
    end_px: float

    def widen(self, before_px: float, behind_px: float, stride_px: float | None = None) -> View:
        """Returns a view that goes so much further, with another stride if that is given."""
        stride = self.stride_px if stride_px is None else stride_px
        return View(stride, self.first_px - before_px, self.end_px + behind_px)


_EVERYTHING = View(1, -math.inf, math.inf)


def measure_reach_px(network: keras.Model) -> float:
    """Returns how many pixels beyond its own place a pixel of the logits depends on, in any direction.

    An upper bound, from the layers' kernels and strides, on sides that the strides divide. Layers that are
    not known here count as pointwise.

    Args:
        network: a functional model from one image to logits of the image's size.

    Returns:
        A whole number; infinity where global pooling (squeeze and excitation) makes every pixel depend on the
        whole image.
    """
    views = trace_views(network)
    found = views[id(network.outputs[0])]
    reach = max(-found.first_px, found.end_px - found.stride_px)
    return reach if math.isinf(reach) else math.ceil(reach)


def trace_views(network: keras.Model) -> dict[int, View]:
    """Returns what the cells of each tensor of a functional model see, by the tensor's id."""
    views: dict[int, View] = {}
    for operation in network.operations:  # In the order of the computation.
        if isinstance(operation, keras.layers.InputLayer):
            view = View(1, 0, 1)
        else:
            seen = [views[id(tensor)] for tensor in keras.tree.flatten(operation.input)]
            view = _look_through(operation, _merge(seen))
        for tensor in keras.tree.flatten(operation.output):
            views[id(tensor)] = view
    return views


def _merge(views: Sequence[View]) -> View:
    """Returns what a cell sees that is made of cells of several tensors."""
    return View(
        # A tensor that has seen everything is one cell, and counts as stride 1.
        max(view.stride_px for view in views),
        min(view.first_px for view in views),
        max(view.end_px for view in views),
    )


def _look_through(layer: Any, view: View) -> View:
    """Returns what a cell of the layer's output sees, given what a cell of its input sees."""
    stride = view.stride_px
    if isinstance(layer, keras.layers.GlobalAveragePooling2D):
        return _EVERYTHING
    if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
        size = (max(layer.kernel_size) - 1) * max(layer.dilation_rate) + 1
        return _slide(view, size, max(layer.strides), layer.padding)
    if isinstance(layer, keras.layers.MaxPooling2D):
        return _slide(view, max(layer.pool_size), max(layer.strides), layer.padding)
    if isinstance(layer, MaxPooling2DWithPlaces):
        return _slide(view, 2, 2, "valid")
    if isinstance(layer, keras.layers.ZeroPadding2D):
        before = [sides[0] for sides in layer.padding]
        return view.widen(max(before) * stride, -min(before) * stride)
    if isinstance(layer, MaxUnpooling2D):
        return _divide(view, 2)
    if isinstance(layer, SubPixelConvolution2D):
        return _divide(_slide(view, KERNEL_SIZE, 1, "same"), layer.factor)
    if isinstance(layer, ResizeConvolution2D):
        fine = stride / layer.factor
        # Between the centres of two neighbours.
        resized = view.widen(1.5 * stride - 0.5 * fine, 0.5 * (stride + fine), fine)
        return _slide(resized, KERNEL_SIZE, 1, "same")
    if isinstance(layer, Deconvolution2D):
        fine, padding = stride / layer.factor, (layer.kernel_size - layer.factor) // 2
        return view.widen((layer.kernel_size - 1 - padding) * fine, padding * fine, fine)
    return view


def _slide(view: View, size: int, step: int, padding: str) -> View:
    """Looks through a window of cells that moves by some cells at a time."""
    before = max(size - step, 0) // 2 if padding == "same" else 0
    stride = view.stride_px
    return view.widen(before * stride, (size - 1 - before) * stride, stride * step)


def _divide(view: View, factor: int) -> View:
    """Looks from the parts of a cell at that cell."""
    fine = view.stride_px / factor
    return view.widen((factor - 1) * fine, 0, fine)
