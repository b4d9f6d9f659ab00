"""DeconvNet and SegNet: decoders that mirror their encoder and undo its max pools one after the other.

``deconvnet`` (Noh, Hong, Han, "Learning Deconvolution Network for Semantic Segmentation", ICCV 2015, section
3.2 and figure 2) fills in what unpooling leaves empty by transposed convolutions, and starts with one of 7x7
that mirrors the first dense layer. ``segnet`` (Badrinarayanan, Kendall, Cipolla, "SegNet", PAMI 2017, section
3) has no dense layers, and plain convolutions. Both normalise batches behind each convolution but the last.
Unlike theirs, encoders here may halve once before the first pool: scores are then upsampled by that much.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from trainer.blocks import convolve_normalized, normalize
from trainer.deconvolution import Deconvolution2D
from trainer.encoded import Encoded, Pool
from trainer.model_config import ModelConfig
from trainer.unpooling import MaxUnpooling2D
from trainer.upsampling import upsample

_Convolve = Callable[[Any, int, str, Any], Any]

_DENSE_KERNEL_SIZE = 7


def build_deconvnet(encoded: Encoded, num_classes: int, config: ModelConfig, policy: Any) -> Any:
    """Builds DeconvNet's decoder; returns scores float32 [batch, height, width, classes]."""
    x = _deconvolve(
        encoded.features[32], encoded.pools[-1].filters[-1], "deconv_fc6", policy, _DENSE_KERNEL_SIZE
    )
    x = _undo_pools(x, encoded.pools, _deconvolve, policy)
    scores = keras.layers.Conv2D(num_classes, 1, name="score", dtype=policy)(x)
    return _upsample_to_image(scores, encoded.pools, config)


def build_segnet(encoded: Encoded, num_classes: int, config: ModelConfig, policy: Any) -> Any:
    """Builds SegNet's decoder; returns scores float32 [batch, height, width, classes].

    The decoder's last convolution, in the place of the encoder's first one, is what scores.
    """
    x = _undo_pools(encoded.features[32], encoded.pools, convolve_normalized, policy, leave_out_last=True)
    scores = keras.layers.Conv2D(num_classes, 3, padding="same", name="score", dtype=policy)(x)
    return _upsample_to_image(scores, encoded.pools, config)


def mirror_filters(pools: Sequence[Pool], index: int) -> tuple[int, ...]:
    """Returns the channels of the decoder's convolutions behind the unpooling of a pool.

    As many convolutions as the encoder has there; the last has the channels of the next finer pool. At the
    finest it keeps the encoder's.
    """
    filters = pools[index].filters
    return (*filters[:0:-1], pools[max(index - 1, 0)].filters[-1])


def _undo_pools(
    x: Any, pools: Sequence[Pool], convolve: _Convolve, policy: Any, leave_out_last: bool = False
) -> Any:
    """Unpools and convolves from the coarsest pool to the finest."""
    for index in reversed(range(len(pools))):
        pool = pools[index]
        x = MaxUnpooling2D(name=f"unpool_stride{pool.stride_px}", dtype=policy)(x, pool.places)
        filters = mirror_filters(pools, index)
        if index == 0 and leave_out_last:
            filters = filters[:-1]
        for number, channels in enumerate(filters, start=1):
            x = convolve(x, channels, f"decode_stride{pool.stride_px}_{number}", policy)
    return x


def _deconvolve(x: Any, filters: int, name: str, policy: Any, kernel_size: int = 3) -> Any:
    """A transposed convolution that keeps the size, batch normalisation and ReLU."""
    # Kernels are [height, width, out, in], so what Keras takes for their fan out is the fan in.
    initializer = keras.initializers.VarianceScaling(2.0, "fan_out", "truncated_normal")
    x = Deconvolution2D(
        1, filters, kernel_size, kernel_initializer=initializer, name=f"{name}_deconv", dtype=policy
    )(x)
    return normalize(x, name, policy)


def _upsample_to_image(scores: Any, pools: Sequence[Pool], config: ModelConfig) -> Any:
    """Returns the scores as float32 at the padded image's size."""
    factor = pools[0].stride_px
    if factor > 1:
        return upsample(scores, factor, "upsample_to_image", config)
    return keras.layers.Activation("linear", name="scores", dtype="float32")(scores)
