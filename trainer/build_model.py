"""Builds the network of a configuration: preparation, encoder, head, cropping."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from trainer.application_backbones import APPLICATIONS, CAFFE
from trainer.backbones import ENCODERS
from trainer.encoded import Encoded
from trainer.fcn import SKIP_STRIDES, build_fcn
from trainer.model_config import IMAGENET, HeadName, ModelConfig
from trainer.prepare_images import CropToImage, Normalization, prepare_images
from trainer.unet import build_unet
from trainer.unpooling_heads import build_deconvnet, build_segnet

HEADS: dict[HeadName, Callable[[Encoded, int, ModelConfig, Any], Any]] = {
    **dict.fromkeys(SKIP_STRIDES, build_fcn),
    "deconvnet": build_deconvnet,
    "segnet": build_segnet,
    "unet": build_unet,
}


def build_model(
    config: ModelConfig,
    num_classes: int,
    channel_mean: Sequence[float],
    channel_std: Sequence[float],
    policy: Any = "float32",
) -> keras.Model:
    """Builds the network with random weights.

    Args:
        config: encoder, head, upsampling, width, dropout. Of its weights it only matters whether they are
            those of ImageNet, for which images are normalised as they were there.
        num_classes: channels of the logits.
        channel_mean: of the train split's images, 0 to 255, one a channel.
        channel_std: likewise.
        policy: dtype policy of encoder and decoder (``mixed_bfloat16``). Normalisation, the fusion of scores
            and their upsampling stay float32: they are cheap, and scores of half precision would blur the
            argmax.

    Returns:
        A model from RGB images float32 [batch, height, width, 3], 0 to 255, of any size to logits
        float32 [batch, height, width, classes].
    """
    normalization = Normalization(channel_mean, channel_std)
    if config.weights == IMAGENET:
        application = APPLICATIONS.get(config.backbone)
        normalization = application.normalization if application else CAFFE
    encoded = ENCODERS[config.backbone](prepare_images(normalization), config, policy)
    scores = HEADS[config.head](encoded, num_classes, config, policy)
    logits = CropToImage(dtype="float32", name="logits")(scores, encoded.images)
    return keras.Model(encoded.images, logits, name=f"{config.backbone}_{config.head}")
