"""Parameters and operations against counts by hand and TensorFlow's profiler."""

from __future__ import annotations

import keras
import pytest
import tensorflow as tf
from tensorflow.python.profiler import model_analyzer
from tensorflow.python.profiler.option_builder import ProfileOptionBuilder

from trainer.build_model import build_model
from trainer.deconvolution import Deconvolution2D
from trainer.model_config import ModelConfig
from trainer.model_size import count_flops, measure_size


def test_a_small_net_counted_by_hand() -> None:
    images = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same")(images)
    x = keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    x = keras.layers.BatchNormalization()(x)
    model = keras.Model(images, Deconvolution2D(2, trainable=False)(x))
    size = measure_size(model, 8, 12)
    # Kernels and biases, depthwise kernels, scale and offset, then the moments and the bilinear kernel.
    trainable = (3 * 3 * 3 * 4 + 4) + 3 * 3 * 4 + 2 * 4
    assert size.trainable_parameters == trainable
    assert size.parameters == trainable + 2 * 4 + 4 * 4 * 4 * 4
    # At 4 x 6 pixels: 27 products for each of 4 channels, 9 for each, 16 x 4 x 4 for each input pixel.
    assert size.flops == 2 * 4 * 6 * (27 * 4 + 9 * 4 + 16 * 4 * 4)


def test_sides_are_counted_as_padded() -> None:
    model = build_model(ModelConfig(width=4), 3, [0.0] * 3, [1.0] * 3)
    assert count_flops(model, 33, 20) == count_flops(model, 64, 32) == 2 * count_flops(model, 32, 32)


@pytest.mark.slow
@pytest.mark.parametrize("head", ["fcn8s", "unet"])
def test_agrees_with_tensorflows_profiler(head: str) -> None:
    model = build_model(ModelConfig(width=8, head=head), 5, [0.0] * 3, [1.0] * 3)
    predict = tf.function(lambda images: model(images, training=False))
    graph = predict.get_concrete_function(tf.TensorSpec([1, 64, 96, 3])).graph
    options = ProfileOptionBuilder(ProfileOptionBuilder.float_operation()).with_empty_output().build()
    profiled = model_analyzer.profile(graph, options=options).total_float_ops
    # The profiler counts biases, normalisation and activations, too.
    assert count_flops(model, 64, 96) == pytest.approx(profiled, rel=0.1)
    assert count_flops(model, 64, 96) <= profiled
