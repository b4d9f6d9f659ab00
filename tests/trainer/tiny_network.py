"""A network for tests of what is around it: it compiles in no time, where a real one takes seconds."""

from __future__ import annotations

from typing import Any

import keras

from trainer.batch_normalization import SynchronizedBatchNormalization
from trainer.deconvolution import Deconvolution2D
from trainer.model_config import ModelConfig


def build_tiny_model(config: ModelConfig, num_classes: int, *_: Any, **__: Any) -> keras.Model:
    """Builds what has all that a training must keep: weights, moments, dropout's state, a deconvolution."""
    images = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 255)(images)
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = keras.layers.ReLU()(SynchronizedBatchNormalization()(x))
    x = keras.layers.Dropout(config.dropout)(x)
    x = keras.layers.Conv2D(num_classes, 3, padding="same")(x)
    return keras.Model(images, Deconvolution2D(2)(x))
