"""What passes our check must pass TensorFlow's decoder too: a run must not fail on it hours later."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from data.open_image import UnreadableImageError, open_image

pytestmark = pytest.mark.slow
PIXELS = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
DEEP = PIXELS[..., 0].astype(np.uint16) * 200


@pytest.mark.parametrize("mode", ["RGB", "P", "LA", "deep"])
def test_damaged_pngs_that_pass_decode_in_tensorflow(encode: Callable[..., bytes], mode: str) -> None:
    import tensorflow as tf

    content = encode(DEEP) if mode == "deep" else encode(PIXELS, mode=mode)
    generator = np.random.default_rng(1)
    refused = 0
    for _ in range(400):
        damaged = bytearray(content)
        position = int(generator.integers(2, len(damaged)))
        if generator.random() < 0.5:
            damaged[position] = int(generator.integers(0, 256))
        else:
            del damaged[position : position + int(generator.integers(1, 20))]
        try:
            size = open_image(bytes(damaged)).size
        except UnreadableImageError:
            refused += 1
            continue
        decoded = tf.io.decode_image(bytes(damaged), channels=3, expand_animations=False)
        assert decoded.shape.as_list() == [size[1], size[0], 3]
    assert refused > 300 and open_image(content).size == (50, 40)
