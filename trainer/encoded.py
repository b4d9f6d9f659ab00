"""What an encoder hands to a head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Pool:
    """A max pooling that can be undone.

    Attributes:
        places: uint8, where each maximum was (``MaxPooling2DWithPlaces``).
        stride_px: of what was pooled.
        filters: channels of the convolutions before it, back to the next finer pool. A decoder mirrors them.
    """

    places: Any
    stride_px: int
    filters: tuple[int, ...]


@dataclass(frozen=True)
class Encoded:
    """Features of an image under construction. Strides are in pixels of the image.

    Attributes:
        images: the network's input, float32 [batch, height, width, 3], 0 to 255.
        features: stride to features [batch, padded height / stride, padded width / stride, channels] that an
            FCN scores: 4, 8, 16 and 32. The deepest are at 32.
        skips: stride to the features before the next halving, from 1 or 2 to 16.
        pools: from fine to coarse; empty where the encoder halves by strided convolutions.
    """

    images: Any
    features: dict[int, Any]
    skips: dict[int, Any]
    pools: tuple[Pool, ...] = ()
