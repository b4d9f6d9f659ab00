"""Frames: images at the working size, as the network sees them."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from data.config import TransformConfig
from data.decode_image import decode_image
from data.resize_example import letterbox_image

_SIZE = tf.TensorSpec([2], tf.int32)


class WorkingFrames:
    """Decodes images and letterboxes them to the working size.

    Args:
        transform: the working size.
        bit_depth: of the encoded images.
        channel_mean: float [3], 0 to 255: what frames are padded with.

    Attributes:
        height_px: of a frame.
        width_px: likewise.
        spec: float32 [height, width, 3].
    """

    def __init__(self, transform: TransformConfig, bit_depth: Any, channel_mean: Any) -> None:
        self.height_px, self.width_px = transform.height_px, transform.width_px
        self.spec = tf.TensorSpec([self.height_px, self.width_px, 3], tf.float32)
        self._bit_depth = bit_depth
        self._fill = tf.constant(channel_mean, tf.float32)

    def decode(self, encoded: Any) -> Any:
        """Returns an encoded image, string scalar, as float32 [height, width, 3] at its own size."""
        return decode_image(encoded, self._bit_depth)

    def letterbox(self, image: Any) -> Any:
        """Returns the frame of an image float32 [height, width, 3]."""
        return letterbox_image(image, self.height_px, self.width_px, self._fill, self._bit_depth)

    def letterbox_all(self, images: Any) -> Any:
        """Returns the frames of images of one size, float32 [batch, height, width, 3]."""
        return tf.map_fn(self.letterbox, images, fn_output_signature=self.spec)

    def prepare_all(self, image_bytes: Any) -> tuple[Any, Any]:
        """Returns the frames of encoded images, string [batch], and their own sizes, int32 [batch, 2]."""

        def prepare(encoded: Any) -> tuple[Any, Any]:
            image = self.decode(encoded)
            return self.letterbox(image), tf.shape(image)[:2]

        return tf.map_fn(prepare, image_bytes, fn_output_signature=(self.spec, _SIZE))
