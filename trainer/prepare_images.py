"""What stands before and behind every network: normalisation, padding to its stride, cropping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

TOTAL_STRIDE_PX = 32
"""Every encoder halves five times: image sides are padded to multiples of it."""


@dataclass(frozen=True)
class Normalization:
    """How pixels of 0 to 255 become a network's input, by channel: red, green, blue.

    Attributes:
        mean: is subtracted.
        std: is divided by.
    """

    mean: Sequence[float]
    std: Sequence[float]


class ImageNormalization(keras.layers.Layer):
    """Normalises RGB images [batch, height, width, 3] by channel.

    Scale and offset are weights that are not trained: whoever takes a trained network's weights over takes
    the normalisation that they were trained with.

    Args:
        normalization: with three means and three standard deviations; a channel that never varies is left as
            it is, but for its mean.
    """

    def __init__(self, normalization: Normalization, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._deviations = [max(float(std), 1e-3) for std in normalization.std]
        self._means = [float(mean) for mean in normalization.mean]

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Creates scale and offset, float32 [3] each."""
        offset = [-mean / std for mean, std in zip(self._means, self._deviations, strict=True)]
        for name, values in (("scale", [1 / std for std in self._deviations]), ("offset", offset)):
            weight = self.add_weight(
                name=name,
                shape=(len(values),),
                initializer=keras.initializers.Constant(values),
                trainable=False,
                autocast=False,
            )
            setattr(self, name, weight)

    def call(self, inputs: Any) -> Any:
        """Normalises."""
        return tf.convert_to_tensor(inputs) * self.scale + self.offset

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Returns the input's shape."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Returns what is needed to make the layer again."""
        return {**super().get_config(), "normalization": {"mean": self._means, "std": self._deviations}}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ImageNormalization:
        """Makes the layer again."""
        return cls(**{**config, "normalization": Normalization(**config["normalization"])})


class PadToMultiple(keras.layers.Layer):
    """Pads [batch, height, width, channels] with zeros below and on the right to multiples of a stride."""

    def __init__(self, multiple_px: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.multiple_px = multiple_px

    def call(self, inputs: Any) -> Any:
        """Pads; images whose sides are multiples already are unchanged."""
        inputs = tf.convert_to_tensor(inputs)
        shape = tf.shape(inputs)
        below, right = -shape[1] % self.multiple_px, -shape[2] % self.multiple_px
        outputs = tf.pad(inputs, [[0, 0], [0, below], [0, right], [0, 0]])
        outputs.set_shape(self.compute_output_shape(tuple(inputs.shape)))
        return outputs

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Returns the shape with height and width rounded up."""
        batch, height, width, channels = input_shape
        return batch, self._round_up(height), self._round_up(width), channels

    def get_config(self) -> dict[str, Any]:
        """Returns what is needed to make the layer again."""
        return {**super().get_config(), "multiple_px": self.multiple_px}

    def _round_up(self, side: int | None) -> int | None:
        return None if side is None else side + -side % self.multiple_px


class CropToImage(keras.layers.Layer):
    """Crops scores [batch, height, width, classes] to the sides of the image they belong to."""

    def call(self, scores: Any, image: Any) -> Any:
        """Returns the top left corner of ``scores``, as large as ``image`` [batch, height, width, 3]."""
        scores, sides = tf.convert_to_tensor(scores), tf.shape(image)
        # Not by indexing: the gradient of a strided slice takes a tenth of a training step on a CPU.
        outputs = tf.slice(scores, [0, 0, 0, 0], tf.stack([-1, sides[1], sides[2], -1]))
        outputs.set_shape([scores.shape[0], *tuple(image.shape)[1:3], scores.shape[3]])
        return outputs

    def compute_output_shape(
        self, scores_shape: Sequence[int | None], image_shape: Sequence[int | None]
    ) -> tuple[int | None, ...]:
        """Returns [batch, image height, image width, classes]."""
        return scores_shape[0], image_shape[1], image_shape[2], scores_shape[3]


def prepare_images(normalization: Normalization) -> keras.Model:
    """Returns a model from RGB images, 0 to 255, of any size to normalised ones that an encoder can halve."""
    images = keras.Input((None, None, 3), dtype="float32", name="image")
    normalized = ImageNormalization(normalization, dtype="float32", name="normalize")(images)
    # After normalisation, so that the padding is the channel mean.
    padded = PadToMultiple(TOTAL_STRIDE_PX, dtype="float32", name="pad")(normalized)
    return keras.Model(images, padded, name="prepare_images")
