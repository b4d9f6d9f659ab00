"""The network alone of an exported model: what other formats hold, and what they are compared with."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

INPUT_NAME, OUTPUT_NAME = "image", "logits"

Pixels = NDArray[np.float32]

_DEVICE = "/CPU:0"


class ConversionError(Exception):
    """A network that a format cannot hold."""


class ExportedNetwork:
    """The network of a SavedModel, at the working size and in one pass.

    Args:
        model_dir: folder of a SavedModel, as ``trainer.export`` writes it.

    Attributes:
        model: what was loaded; it keeps the variables alive.
        frame_shape: height and width of the working size, and 3.
        spec: of one frame, ``image``.
        num_classes: of the logits.
    """

    def __init__(self, model_dir: str) -> None:
        # GPUs may round to fewer digits, and what is compared with this runs on the CPU.
        with tf.device(_DEVICE):
            self.model = tf.saved_model.load(model_dir)
        self._prepare = self.model.signatures["prepare_images"]
        self._predict = self.model.signatures["predict_tiles"]
        height, width = self._prepare.structured_outputs["frames"].shape[1:3]
        self.frame_shape = (int(height), int(width), 3)
        self.spec = tf.TensorSpec([1, *self.frame_shape], tf.float32, INPUT_NAME)
        self.num_classes = int(self._predict.structured_outputs["logits"].shape[3])

    def prepare(self, image_bytes: bytes) -> Pixels:
        """Returns the frame of an encoded image, float32 [1, height, width, 3], 0 to 255."""
        frames = self._prepare(image_bytes=tf.constant([image_bytes]))["frames"]
        return np.asarray(frames, np.float32)

    def predict(self, frames: Pixels) -> Pixels:
        """Returns logits float32 [batch, height, width, classes] of frames [batch, height, width, 3]."""
        with tf.device(_DEVICE):
            return np.asarray(self._predict(tiles=tf.constant(frames))["logits"])

    def find_padding(self) -> tuple[float, float, float]:
        """Returns the colour that frames are padded with, RGB of 0 to 255."""
        # An image of one column leaves the frame's last one empty.
        column = tf.zeros([self.frame_shape[0], 1, 3], tf.uint8)
        red, green, blue = self.prepare(tf.io.encode_png(column).numpy())[0, -1, -1]
        return float(red), float(green), float(blue)

    def compile(self) -> Any:
        """Returns the network as a function ``image`` -> ``logits`` of one frame [1, height, width, 3]."""
        shape = [1, *self.frame_shape[:2], self.num_classes]

        def predict(image: Any) -> dict[str, Any]:
            return {OUTPUT_NAME: tf.ensure_shape(self._predict(tiles=image)["logits"], shape)}

        return tf.function(predict, [self.spec], autograph=False)
