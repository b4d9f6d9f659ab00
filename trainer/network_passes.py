"""What the signatures of the exported model share: images through the network, traced once each.

Tracing is most of an export's time, so every signature calls these.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from data.decode_image import decode_mask_png
from trainer.average_image import average_image
from trainer.average_variants import SETTING_SPECS, InferenceSettings
from trainer.count_pixels import count_image
from trainer.finish_logits import ENCODED, PIXELS, classify_at_size, encode_mask, predict_at_size
from trainer.working_frames import WorkingFrames


class NetworkPasses:
    """A network, in one pass over an image's frame or averaged over flips, scales and windows.

    Args:
        network: images float32 [batch, height, width, 3], 0 to 255, to logits, likewise by classes.
        num_classes: of the logits.
        ignore_id: of void pixels in masks.
        frames: of the working size.

    Attributes:
        predict: of pixels float32 [batch, any height, any width, 3] to logits float32 [batch, height, width,
            classes].
        encode: of encoded images, string [batch], to PNGs of class ids at each image's own size, string
            [batch], and mean confidences, float32 [batch].
        encode_averaged: likewise, by the fields of ``InferenceSettings``.
    """

    def __init__(self, network: keras.Model, num_classes: int, ignore_id: int, frames: WorkingFrames) -> None:
        self._num_classes, self._ignore_id, self._frames = num_classes, ignore_id, frames
        strings = tf.TensorSpec([None], tf.string)
        images = tf.TensorSpec([None, None, None, 3], tf.float32)
        image = tf.TensorSpec(images.shape[1:], tf.float32)
        self.predict = compile_function(lambda images: _predict_any_number(network, images), images)
        self._predict_encoded = compile_function(self._prepare_and_predict, strings)
        self.encode = compile_function(self._predict_and_encode, strings)
        self._average = compile_function(self._average_image, image, *SETTING_SPECS)
        self.encode_averaged = compile_function(self._average_and_encode, strings, *SETTING_SPECS)

    def classify(self, images: Any) -> tuple[Any, Any]:
        """Returns class ids uint8 [batch, height, width] and their probabilities float32, in one pass.

        Args:
            images: float32 [batch, height, width, 3].
        """
        frames, size = self._frames.letterbox_all(images), tf.shape(images)[1:3]
        logits = self._predict_frames(frames)
        class_ids, probability = tf.map_fn(
            lambda logits: classify_at_size(logits, size), logits, fn_output_signature=PIXELS
        )
        return class_ids, probability

    def classify_averaged(self, images: Any, settings: InferenceSettings) -> tuple[Any, Any]:
        """Returns class ids and probabilities likewise, by flips, scales and windows."""
        class_ids, probability = _map_one_by_one(
            lambda image: self._average(image, *settings), images, PIXELS
        )
        return class_ids, probability

    def count(self, images: Any, masks: Any) -> Any:
        """Returns the confusion matrix of each image at its mask's size, int64 [batch, classes, classes].

        Args:
            images: encoded, string [batch].
            masks: PNGs of class ids, string [batch].
        """

        def count_one(logits_and_mask: tuple[Any, Any]) -> Any:
            logits, mask = logits_and_mask[0], decode_mask_png(logits_and_mask[1])
            return self._count(mask, predict_at_size(logits, tf.shape(mask)))

        logits, _ = self._predict_encoded(images)
        return tf.map_fn(count_one, (logits, masks), fn_output_signature=self._matrix())

    def count_averaged(self, images: Any, masks: Any, settings: InferenceSettings) -> Any:
        """Returns confusion matrices likewise, by flips, scales and windows."""

        def count_one(image_and_mask: tuple[Any, Any]) -> Any:
            image, mask = image_and_mask
            class_ids, _ = self._average(self._frames.decode(image), *settings)
            return self._count(decode_mask_png(mask), class_ids)

        return _map_one_by_one(count_one, (images, masks), self._matrix())

    def _average_image(self, image: Any, *options: Any) -> tuple[Any, Any]:
        settings = InferenceSettings(*options)
        return average_image(self.predict, self._frames, image, settings, self._num_classes)

    def _average_and_encode(self, image_bytes: Any, *options: Any) -> tuple[Any, Any]:
        def encode(encoded: Any) -> tuple[Any, Any]:
            class_ids, probability = self._average(self._frames.decode(encoded), *options)
            return tf.io.encode_png(class_ids[..., tf.newaxis]), tf.reduce_mean(probability)

        return _map_one_by_one(encode, image_bytes, ENCODED)

    def _predict_and_encode(self, image_bytes: Any) -> tuple[Any, Any]:
        return tf.map_fn(
            lambda logits_and_size: encode_mask(*logits_and_size),
            self._predict_encoded(image_bytes),
            fn_output_signature=ENCODED,
        )

    def _prepare_and_predict(self, image_bytes: Any) -> tuple[Any, Any]:
        """Returns logits [batch, height, width, classes] and the images' own sizes, int32 [batch, 2]."""
        frames, sizes = self._frames.prepare_all(image_bytes)
        return self._predict_frames(frames), sizes

    def _predict_frames(self, frames: Any) -> Any:
        """Returns logits float32 [batch, height, width, classes] at the working size."""
        shape = [None, self._frames.height_px, self._frames.width_px, self._num_classes]
        return tf.ensure_shape(self.predict(frames), shape)

    def _count(self, mask: Any, class_ids: Any) -> Any:
        """Returns the confusion matrix of one image, int64 [classes, classes]."""
        return count_image(mask, class_ids, self._num_classes, self._ignore_id)

    def _matrix(self) -> tf.TensorSpec:
        return tf.TensorSpec([self._num_classes, self._num_classes], tf.int64)


def compile_function(function: Any, *specs: tf.TensorSpec) -> Any:
    """Compiles a function of tensors. No Python control flow depends on tensors: nothing to convert."""
    return tf.function(function, input_signature=specs, autograph=False)


def _predict_any_number(network: keras.Model, images: Any) -> Any:
    """Returns logits of [batch, height, width, 3]. oneDNN's kernels fail on a batch of none: it gets one."""
    count = tf.shape(images)[0]
    filled = tf.pad(images, [[0, tf.cast(count == 0, tf.int32)], [0, 0], [0, 0], [0, 0]])
    return network(filled, training=False)[:count]


def _map_one_by_one(function: Any, elements: Any, specs: Any) -> Any:
    """Maps a function over images of which only one shall be held at a time."""
    return tf.map_fn(function, elements, fn_output_signature=specs, parallel_iterations=1)
