"""Encoders of our own: images to features at strides from 1 or 2 to 32. ``ENCODERS`` has those of Keras, too.

``vgg16`` is the papers' (Long, Shelhamer, Darrell, CVPR 2015, section 4.1), its dense layers cast into
convolutions. ``small`` suits a CPU: two strided convolutions come first, because narrow layers at full
resolution are what costs there, and plain 3x3 convolutions, because depthwise ones are slow on CPUs.
``small_pooled`` is the same but for its halvings: behind the first, they are max pools, which can be undone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import keras

from trainer.application_backbones import APPLICATIONS, build_application
from trainer.blocks import add_residual, convolve, convolve_normalized
from trainer.encoded import Encoded, Pool
from trainer.model_config import UNPOOLING_HEADS, BackboneName, ModelConfig
from trainer.unpooling import MaxPooling2DWithPlaces

VGG16_CONVOLUTIONS = (2, 2, 3, 3, 3)
"""In each of its five blocks, which are named as in keras.applications."""

Deepest = Literal["dense", "pool", "convolutions"]


def build_small_encoder(
    prepared: keras.Model, width: int, dropout: float, policy: Any, pooled: bool = False
) -> Encoded:
    """Builds the small residual encoder.

    Args:
        prepared: from images to normalised images [batch, height, width, 3], sides multiples of 32.
        width: channels at stride 4; half as many at stride 2, twice as many at stride 8, four times as many
            from stride 16 on.
        dropout: share of the deepest features that training drops.
        policy: the layers' dtype policy.
        pooled: whether it halves by max pooling instead of strided convolutions, from stride 2 on.
    """
    features: dict[int, Any] = {}
    pools: list[Pool] = []
    filters: tuple[int, ...] = (width // 2,)
    x = convolve_normalized(prepared.output, width // 2, "stem", policy, stride=2)
    features[2] = x
    for stage, stride in enumerate((4, 8, 16, 32)):
        channels, name = width * min(2**stage, 4), f"stride{stride}"
        if pooled:
            x, places = MaxPooling2DWithPlaces(name=f"{name}_pool", dtype=policy)(x)
            pools.append(Pool(places, stride // 2, filters))
        x = convolve_normalized(x, channels, f"{name}_reduce", policy, stride=1 if pooled else 2)
        x = add_residual(x, channels, f"{name}_block", policy)
        features[stride], filters = x, (channels, channels)
    skips = {stride: feature for stride, feature in features.items() if stride < 32}
    features[32] = keras.layers.Dropout(dropout, name="stride32_dropout", dtype=policy)(x)
    return Encoded(prepared.input, features, skips, tuple(pools))


def build_vgg16_encoder(
    prepared: keras.Model,
    dropout: float,
    policy: Any,
    *,
    normalized: bool = False,
    deepest: Deepest = "dense",
    width: int = 64,
    dense_width: int = 4096,
) -> Encoded:
    """Builds VGG16 (Simonyan, Zisserman, ICLR 2015, table 1, D).

    Args:
        prepared: from images to normalised images [batch, height, width, 3], sides multiples of 32.
        dropout: after each of the two convolutions that were dense layers, or of those in their place.
        policy: the layers' dtype policy.
        normalized: whether batch normalisation follows each convolution, as in DeconvNet and SegNet.
        deepest: what stands at stride 32: the dense layers as convolutions fc6 and fc7; the last pool alone;
            or two 3x3 convolutions with twice the channels, as at the bottom of a U-Net.
        width: channels of the first block; 64 is VGG16.
        dense_width: channels of fc6 and fc7; 4096 is VGG16.
    """
    features: dict[int, Any] = {}
    skips: dict[int, Any] = {}
    pools: list[Pool] = []
    x = prepared.output
    for block, convolutions in enumerate(VGG16_CONVOLUTIONS, start=1):
        channels = width * min(2 ** (block - 1), 8)
        for index in range(1, convolutions + 1):
            x = _convolve_vgg(x, channels, 3, f"block{block}_conv{index}", policy, normalized)
        skips[2 ** (block - 1)] = x
        x, places = MaxPooling2DWithPlaces(name=f"block{block}_pool", dtype=policy)(x)
        pools.append(Pool(places, 2 ** (block - 1), (channels,) * convolutions))
        features[2**block] = x
    bottom = {
        "dense": (("fc6", dense_width, 7), ("fc7", dense_width, 1)),
        "pool": (),
        "convolutions": (("bottom_conv1", 16 * width, 3), ("bottom_conv2", 16 * width, 3)),
    }
    for name, channels, kernel_size in bottom[deepest]:
        x = _convolve_vgg(x, channels, kernel_size, name, policy, normalized)
        x = keras.layers.Dropout(dropout, name=f"{name}_dropout", dtype=policy)(x)
    features[32] = x
    return Encoded(prepared.input, features, skips, tuple(pools))


def _convolve_vgg(x: Any, filters: int, kernel_size: int, name: str, policy: Any, normalized: bool) -> Any:
    """A convolution of this name, with a bias or with batch normalisation, and ReLU."""
    if not normalized:
        return convolve(x, filters, kernel_size, name, policy)
    return convolve_normalized(x, filters, name, policy, kernel_size=kernel_size, layer_name=name)


def _build_small(prepared: keras.Model, config: ModelConfig, policy: Any) -> Encoded:
    return build_small_encoder(prepared, config.width, config.dropout, policy)


def _build_small_pooled(prepared: keras.Model, config: ModelConfig, policy: Any) -> Encoded:
    return build_small_encoder(prepared, config.width, config.dropout, policy, pooled=True)


def _build_vgg16(prepared: keras.Model, config: ModelConfig, policy: Any) -> Encoded:
    """Builds it as the head's paper has it."""
    deepest: dict[str, Deepest] = {"segnet": "pool", "unet": "convolutions"}
    return build_vgg16_encoder(
        prepared,
        config.dropout,
        policy,
        normalized=config.head in (*UNPOOLING_HEADS, "unet"),
        deepest=deepest.get(config.head, "dense"),
    )


ENCODERS: dict[BackboneName, Callable[[keras.Model, ModelConfig, Any], Encoded]] = {
    "small": _build_small,
    "small_pooled": _build_small_pooled,
    "vgg16": _build_vgg16,
    **dict.fromkeys(APPLICATIONS, build_application),
}
