"""The networks: what they fuse, how they start, and that any size goes through."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.backbones import build_vgg16_encoder
from trainer.build_model import build_model
from trainer.deconvolution import Deconvolution2D
from trainer.fcn import SKIP_STRIDES, fuse_scores
from trainer.model_config import HeadName, ModelConfig
from trainer.prepare_images import Normalization, prepare_images
from trainer.unpooling import MaxPooling2DWithPlaces

MEAN, STD = [100.0, 110.0, 120.0], [50.0, 60.0, 70.0]


def small(head: HeadName = "fcn8s", **settings: object) -> keras.Model:
    return build_model(ModelConfig(width=4, head=head, **settings), 5, MEAN, STD)


def deconvolutions(model: keras.Model) -> list[Deconvolution2D]:
    return [layer for layer in model.layers if isinstance(layer, Deconvolution2D)]


@pytest.mark.parametrize(
    ("head", "factors", "skips"),
    [
        ("fcn32s", [32], []),
        ("fcn16s", [2, 16], [16]),
        ("fcn8s", [2, 2, 8], [16, 8]),
        ("fcn4s", [2, 2, 2, 4], [16, 8, 4]),
    ],
)
def test_heads_fuse_the_papers_strides(head: HeadName, factors: list[int], skips: list[int]) -> None:
    model = small(head)
    assert [layer.factor for layer in deconvolutions(model)] == factors
    assert [s for s in (16, 8, 4) if f"fuse_stride{s}" in [layer.name for layer in model.layers]] == skips


@pytest.mark.parametrize("head", ["fcn16s", "fcn8s", "fcn4s"])
def test_skips_start_at_zero(head: HeadName) -> None:
    """A fresh head predicts the deepest scores alone, upsampled in its steps."""
    model = small(head)
    image = np.random.default_rng(0).uniform(0, 255, (1, 64, 96, 3)).astype(np.float32)
    scores = keras.Model(model.input, model.get_layer("score_stride32").output)(image)
    for layer in deconvolutions(model):
        scores = Deconvolution2D(layer.factor)(scores)
    assert np.abs(np.asarray(scores)).max() > 1e-3
    np.testing.assert_allclose(np.asarray(model(image)), np.asarray(scores), rtol=1e-5, atol=1e-5)


def test_fusion_adds_upsampled_coarse_scores_to_fine_ones() -> None:
    coarse, fine = np.ones((1, 2, 2, 4), np.float32), np.ones((1, 4, 4, 6), np.float32)
    inputs = {32: keras.Input((2, 2, 4)), 16: keras.Input((4, 4, 6))}
    outputs = fuse_scores(inputs, (16,), 3, ModelConfig(), "float32")
    model = keras.Model([inputs[32], inputs[16]], outputs)
    model.get_layer("score_stride32").set_weights([np.zeros((1, 1, 4, 3)), np.array([1.0, 2.0, 3.0])])
    model.get_layer("score_stride16").set_weights([np.ones((1, 1, 6, 3)), np.zeros(3)])
    # In the middle: the bias of the coarse score, and six ones from the fine one.
    assert np.asarray(model([coarse, fine]))[0, 31, 31] == pytest.approx([7, 8, 9], rel=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (31, 33), (32, 32), (45, 77), (64, 40)])
def test_any_size_goes_through(size: tuple[int, int]) -> None:
    model = small()
    logits = model(np.full((2, *size, 3), 100, np.float32))
    assert logits.shape == (2, *size, 5) and logits.dtype == tf.float32


def test_padding_is_the_channel_mean() -> None:
    """An odd image gives what it gives when its user pads it by the mean, cropped back."""
    model = small("fcn4s")
    for score in ("score_stride4", "score_stride8"):
        layer = model.get_layer(score)
        layer.set_weights([np.random.default_rng(1).normal(size=w.shape) for w in layer.get_weights()])
    image = np.random.default_rng(0).uniform(0, 255, (1, 40, 50, 3)).astype(np.float32)
    padded = np.broadcast_to(np.array(MEAN, np.float32), (1, 64, 64, 3)).copy()
    padded[:, :40, :50] = image
    np.testing.assert_allclose(
        np.asarray(model(image)), np.asarray(model(padded))[:, :40, :50], rtol=1e-4, atol=1e-4
    )


def test_images_are_normalized_inside() -> None:
    model = small()
    image = np.random.default_rng(0).uniform(0, 255, (1, 8, 8, 3)).astype(np.float32)
    normalized = keras.Model(model.input, model.get_layer("normalize").output)(image)
    np.testing.assert_allclose(np.asarray(normalized), (image - MEAN) / STD, atol=1e-5)


def test_deconvolutions_are_frozen_where_asked() -> None:
    frozen = small(train_deconvolution=False)
    assert not any("upsample" in weight.path for weight in frozen.trainable_variables)
    assert sum("upsample" in weight.path for weight in small().trainable_variables) == 3


def test_a_channel_that_never_varies_does_not_divide_by_zero() -> None:
    model = build_model(ModelConfig(width=4), 3, [0.0] * 3, [0.0] * 3)
    assert np.isfinite(np.asarray(model(np.zeros((1, 32, 32, 3), np.float32)))).all()


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_keeps_float32_weights_and_logits(policy: str) -> None:
    model = build_model(ModelConfig(width=4), 3, MEAN, STD, policy)
    assert {weight.dtype for weight in model.weights if "seed" not in weight.path} == {"float32"}
    assert model.get_layer("stride8_reduce_conv").compute_dtype == policy.removeprefix("mixed_")
    image = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3)).astype(np.float32)
    with tf.GradientTape() as tape:
        logits = model(image, training=True)
        loss = tf.reduce_sum(tf.square(logits))
    assert logits.dtype == tf.float32
    gradients = tape.gradient(loss, [weight.value for weight in model.trainable_variables])
    assert all(g.dtype == tf.float32 and np.isfinite(g.numpy()).all() for g in gradients)


def test_vgg16_has_the_papers_layers() -> None:
    """VGG16 at an eighth of its width: 13 convolutions, five pools, fc6 as 7x7 and fc7 as 1x1."""
    prepared = prepare_images(Normalization(MEAN, STD))
    encoded = build_vgg16_encoder(prepared, 0.5, "float32", width=8, dense_width=32)
    model = keras.Model(encoded.images, {str(stride): x for stride, x in encoded.features.items()})
    shapes = model.compute_output_shape((1, 64, 96, 3))
    assert {stride: tuple(shapes[stride]) for stride in ("4", "8", "16", "32")} == {
        "4": (1, 16, 24, 16),
        "8": (1, 8, 12, 32),
        "16": (1, 4, 6, 64),
        "32": (1, 2, 3, 32),
    }
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [layer.filters for layer in convolutions] == [
        *(8, 8, 16, 16, 32, 32, 32, 64, 64, 64, 64, 64, 64),
        *(32, 32),
    ]
    assert [layer.kernel_size for layer in convolutions[-2:]] == [(7, 7), (1, 1)]
    assert sum(isinstance(layer, MaxPooling2DWithPlaces) for layer in model.layers) == 5
    assert sum(isinstance(layer, keras.layers.Dropout) for layer in model.layers) == 2


@pytest.mark.slow
def test_vgg16_of_the_configuration_has_the_papers_size() -> None:
    model = build_model(ModelConfig(backbone="vgg16", head="fcn8s"), 21, MEAN, STD)
    # VGG16's convolutions 14,714,688; fc6 and fc7; scores of pool3, pool4 and fc7; three deconvolutions.
    dense = 7 * 7 * 512 * 4096 + 4096 + 4096 * 4096 + 4096
    scores = (4096 + 512 + 256 + 3) * 21
    upsampling = (4 * 4 + 4 * 4 + 16 * 16) * 21 * 21
    assert sum(weight.value.shape.num_elements() for weight in model.trainable_weights) == (
        14_714_688 + dense + scores + upsampling
    )


def test_every_fcn_is_known() -> None:
    assert set(SKIP_STRIDES) == {"fcn32s", "fcn16s", "fcn8s", "fcn4s"}
