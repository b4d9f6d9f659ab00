"""Which split an image belongs to where the data set has no splits of its own."""

from __future__ import annotations

import hashlib
from typing import Literal

from data.config import SplitConfig

SplitName = Literal["train", "val", "test"]
SPLIT_NAMES: tuple[SplitName, ...] = ("train", "val", "test")


def split_of(image_id: str, config: SplitConfig) -> SplitName:
    """Returns the split of an image: a function of its id and the salt alone.

    The id's SHA-256 is a point in [0, 1), and the shares cut that range into train, val and test.
    So an image never changes its split when others come or go.
    """
    digest = hashlib.sha256(f"{config.salt}/{image_id}".encode("utf-8", "surrogateescape")).digest()
    point = int.from_bytes(digest[:8], "big") / 2**64
    shares: tuple[tuple[SplitName, float], ...] = (
        ("train", config.train),
        ("val", config.val),
        ("test", config.test),
    )
    border = 0.0
    chosen: SplitName = "train"
    for name, share in shares:
        if share <= 0:
            continue
        chosen = name
        border += share
        if point < border:
            break
    return chosen
