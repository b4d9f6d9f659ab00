"""FCN-32s, FCN-16s, FCN-8s and one skip more: scores at several strides, fused and upsampled.

Source: Long, Shelhamer, Darrell, "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015,
section 4.2: a 1x1 convolution scores the deepest features; scores are upsampled by 2 and added to those
of the next finer features; a last deconvolution upsamples to the image. Score layers on skips start at
zero, so that a new skip leaves the prediction as it was. Unlike the paper's implementation, which pads
every image by 100 px and crops, convolutions pad by themselves (SAME) and the image is padded only to a
multiple of the total stride.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from trainer.backbones import ENCODERS, TOTAL_STRIDE_PX
from trainer.config import HeadName, ModelConfig
from trainer.deconvolution import Deconvolution2D

SKIP_STRIDES: dict[HeadName, tuple[int, ...]] = {
    "fcn32s": (),
    "fcn16s": (16,),
    "fcn8s": (16, 8),
    "fcn4s": (16, 8, 4),
}
"""Strides whose scores are fused, from coarse to fine; the last one is upsampled to the image."""


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
        outputs = scores[:, : sides[1], : sides[2], :]
        outputs.set_shape([scores.shape[0], *tuple(image.shape)[1:3], scores.shape[3]])
        return outputs

    def compute_output_shape(
        self, scores_shape: Sequence[int | None], image_shape: Sequence[int | None]
    ) -> tuple[int | None, ...]:
        """Returns [batch, image height, image width, classes]."""
        return scores_shape[0], image_shape[1], image_shape[2], scores_shape[3]


def build_model(
    config: ModelConfig,
    num_classes: int,
    channel_mean: Sequence[float],
    channel_std: Sequence[float],
    policy: Any = "float32",
) -> keras.Model:
    """Builds the network.

    Args:
        config: encoder, head, width, dropout.
        num_classes: channels of the logits.
        channel_mean: of the train split's images, 0 to 255, one a channel.
        channel_std: likewise.
        policy: dtype policy of the encoder (``mixed_bfloat16``). Normalisation, fusion and upsampling
            stay float32: they are cheap, and scores of half precision would blur the argmax.

    Returns:
        A model from RGB images float32 [batch, height, width, 3], 0 to 255, of any size to logits
        float32 [batch, height, width, classes].
    """
    images = keras.Input((None, None, 3), dtype="float32", name="image")
    x = keras.layers.Rescaling(
        scale=[1.0 / max(float(std), 1e-3) for std in channel_std],
        offset=[-float(m) / max(float(s), 1e-3) for m, s in zip(channel_mean, channel_std, strict=True)],
        dtype="float32",
        name="normalize",
    )(images)
    # After normalisation, so that the padding is the channel mean.
    x = PadToMultiple(TOTAL_STRIDE_PX, dtype="float32", name="pad")(x)
    features = ENCODERS[config.backbone](x, config, policy)
    scores = fuse_scores(features, SKIP_STRIDES[config.head], num_classes, config, policy)
    logits = CropToImage(dtype="float32", name="logits")(scores, images)
    return keras.Model(images, logits, name=f"{config.backbone}_{config.head}")


def fuse_scores(
    features: dict[int, Any], skips: Sequence[int], num_classes: int, config: ModelConfig, policy: Any
) -> Any:
    """Scores the features, fuses them from coarse to fine and upsamples to the padded image.

    Args:
        features: stride in pixels to features [batch, height / stride, width / stride, channels].
        skips: strides to fuse, each half of the one before, the first half of ``TOTAL_STRIDE_PX``.
        num_classes: channels of the scores.
        config: tells whether the deconvolutions learn.
        policy: dtype policy of the score layers.

    Returns:
        Scores float32 [batch, height, width, classes].
    """
    stride = TOTAL_STRIDE_PX
    scores = _score(features[stride], num_classes, stride, "glorot_uniform", policy)
    for skip in skips:
        scores = _upsample(scores, stride // skip, f"upsample_to_stride{skip}", config)
        skip_scores = _score(features[skip], num_classes, skip, "zeros", policy)
        scores = keras.layers.Add(dtype="float32", name=f"fuse_stride{skip}")([scores, skip_scores])
        stride = skip
    return _upsample(scores, stride, "upsample_to_image", config)


def _score(features: Any, num_classes: int, stride: int, initializer: str, policy: Any) -> Any:
    """Scores every class by a 1x1 convolution."""
    return keras.layers.Conv2D(
        num_classes, 1, kernel_initializer=initializer, name=f"score_stride{stride}", dtype=policy
    )(features)


def _upsample(scores: Any, factor: int, name: str, config: ModelConfig) -> Any:
    return Deconvolution2D(factor, trainable=config.train_deconvolution, name=name, dtype="float32")(scores)
