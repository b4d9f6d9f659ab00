"""Max pooling that remembers where each maximum was, and unpooling, which puts it back there.

Source: Zeiler, Taylor, Fergus, "Adaptive Deconvolutional Networks", ICCV 2011, section 2.2; Noh, Hong, Han,
"Learning Deconvolution Network", ICCV 2015, section 3.2.1; Badrinarayanan, Kendall, Cipolla, "SegNet", PAMI
2017, section 3. Windows are 2x2 and do not overlap, so a place is a number from 0 to 3; slices and
concatenations keep to it, where scattering by flat indices would be slower and, on GPUs, not reproducible.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from trainer.deconvolution import enlarge_shape


class MaxPooling2DWithPlaces(keras.layers.Layer):
    """Takes the maximum of each 2x2 window, and says where in the window it was.

    Input: floating [batch, height, width, channels] with even sides.
    Output: the maxima, floating [batch, height / 2, width / 2, channels], and their places, uint8 of the same
    shape: 0 and 1 in the window's upper row, 2 and 3 in its lower one. Of equal values the first counts.
    """

    def call(self, inputs: Any) -> tuple[Any, Any]:
        """Returns maxima and places."""
        inputs = tf.convert_to_tensor(inputs)
        maxima = tf.nn.max_pool2d(inputs, 2, 2, "VALID")
        held = maxima[:, :, tf.newaxis, :, tf.newaxis]
        batch, height, width, channels = tf.unstack(tf.shape(maxima))
        windows = tf.reshape(inputs, tf.stack([batch, height, 2, width, 2, channels]))
        is_less = tf.cast(tf.not_equal(windows, held), tf.uint8)
        upper, lower = is_less[:, :, 0], is_less[:, :, 1]
        # Counts the values before the first maximum.
        places = upper[:, :, :, 0] * (1 + upper[:, :, :, 1] * (1 + lower[:, :, :, 0]))
        places.set_shape(maxima.shape)
        return maxima, places

    def compute_output_spec(self, inputs: Any) -> tuple[Any, Any]:
        """Returns the shapes and dtypes of maxima and places."""
        batch, height, width, channels = inputs.shape
        shape = (batch, height and height // 2, width and width // 2, channels)
        return keras.KerasTensor(shape, self.compute_dtype), keras.KerasTensor(shape, "uint8")


class MaxUnpooling2D(keras.layers.Layer):
    """Puts each value back where its window's maximum was, among zeros.

    Input: floating [batch, height, width, channels], and the places of ``MaxPooling2DWithPlaces``.
    Output: floating [batch, height * 2, width * 2, channels].
    """

    def call(self, inputs: Any, places: Any) -> Any:
        """Unpools."""
        inputs, places = tf.convert_to_tensor(inputs), tf.convert_to_tensor(places)
        zeros = tf.zeros_like(inputs)
        first, second, third, fourth = (
            tf.where(tf.equal(places, place), inputs, zeros) for place in range(4)
        )
        batch, height, width, channels = tf.unstack(tf.shape(inputs))
        windows = tf.stack([tf.stack([first, second], axis=3), tf.stack([third, fourth], axis=3)], axis=2)
        outputs = tf.reshape(windows, tf.stack([batch, height * 2, width * 2, channels]))
        outputs.set_shape(enlarge_shape(inputs.shape, 2))
        return outputs

    def compute_output_shape(
        self, inputs_shape: Sequence[int | None], places_shape: Sequence[int | None]
    ) -> tuple[int | None, ...]:
        """Returns the shape with both sides doubled."""
        return enlarge_shape(inputs_shape, 2)
