"""DeconvNet, SegNet, U-Net and the encoders of Keras: what the papers say of them, and that they work."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError

from trainer.backbones import ENCODERS, build_vgg16_encoder
from trainer.batch_normalization import SynchronizedBatchNormalization
from trainer.build_model import HEADS, build_model
from trainer.config import TrainerConfig
from trainer.deconvolution import Deconvolution2D
from trainer.encoded import Encoded
from trainer.model_config import BackboneName, HeadName, ModelConfig, UpsamplingName
from trainer.model_size import count_flops
from trainer.optimization import make_optimizer
from trainer.prepare_images import Normalization, prepare_images
from trainer.receptive_field import measure_reach_px
from trainer.train import TrainingJob, train
from trainer.unpooling import MaxUnpooling2D
from trainer.unpooling_heads import build_deconvnet, build_segnet

MEAN, STD = [100.0, 110.0, 120.0], [50.0, 60.0, 70.0]
CLASSES = 5
LONG = pytest.mark.skipif(not os.environ.get("DECONVFLOW_LONG_TESTS"), reason="set DECONVFLOW_LONG_TESTS=1")

TINY: tuple[tuple[BackboneName, HeadName, UpsamplingName], ...] = (
    ("small", "unet", "deconvolution"),
    ("small", "fcn4s", "sub_pixel"),
    ("small_pooled", "segnet", "resize_convolution"),
    ("small_pooled", "deconvnet", "sub_pixel"),
    ("small_pooled", "unet", "resize_convolution"),
)


def build(backbone: BackboneName, head: HeadName, policy: str = "float32", **settings: Any) -> keras.Model:
    keras.utils.set_random_seed(0)
    config = ModelConfig(backbone=backbone, head=head, width=4, dropout=0.0, **settings)
    return build_model(config, CLASSES, MEAN, STD, policy)


def random_image(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)


@pytest.fixture(scope="module")
def tiny() -> Callable[[tuple[BackboneName, HeadName, UpsamplingName]], keras.Model]:
    """The tiny networks, each built once."""
    built: dict[Any, keras.Model] = {}

    def get(parts: tuple[BackboneName, HeadName, UpsamplingName]) -> keras.Model:
        if parts not in built:
            built[parts] = build(*parts[:2], upsampling=parts[2])
        return built[parts]

    return get


def check_any_size(model: keras.Model) -> None:
    for size in ((1, 1), (33, 50)):
        logits = model(random_image(2, *size, 3))
        assert logits.shape == (2, *size, CLASSES) and logits.dtype == tf.float32


def check_gradients(model: keras.Model, skip: Callable[[str], bool] = lambda _: False) -> None:
    """Every trained weight gets a gradient that is finite and not all 0."""
    target = np.random.default_rng(1).normal(size=(2, 64, 64, CLASSES)).astype(np.float32)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(random_image(2, 64, 64, 3), training=True) * target)
    weights = model.trainable_variables
    gradients = tape.gradient(loss, [weight.value for weight in weights])
    for weight, gradient in zip(weights, gradients, strict=True):
        assert gradient is not None, weight.path
        values = np.asarray(gradient)
        assert np.isfinite(values).all() and (values.any() or skip(weight.path)), weight.path


def check_reach(model: keras.Model, most_px: int = 400) -> None:
    """Where a pixel's logits change with the image, by the gradient: nowhere beyond the stated reach."""
    reach = measure_reach_px(model)
    assert reach <= most_px
    rows = 2 * 32 * (int(reach) // 32 + 2)
    for row in (rows // 2, rows // 2 + 31):
        image = tf.constant(random_image(1, rows, 32, 3))
        with tf.GradientTape() as tape:
            tape.watch(image)
            score = tf.reduce_sum(model(image, training=False)[0, row])
        touched = np.flatnonzero(np.abs(tape.gradient(score, image).numpy()).max(axis=(0, 2, 3)))
        assert row - reach <= touched.min() and touched.max() <= row + reach


@pytest.mark.parametrize("parts", TINY, ids="-".join)
def test_tiny_networks_take_any_size_learn_everywhere_and_reach_as_far_as_they_say(
    tiny: Callable[..., keras.Model], parts: Any
) -> None:
    model = tiny(parts)
    check_any_size(model)
    check_gradients(model)
    check_reach(model)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("parts", [TINY[0], TINY[3]], ids="-".join)
def test_half_precision_keeps_float32_weights_and_logits(parts: Any, policy: str) -> None:
    model = build(*parts[:2], policy=policy, upsampling=parts[2])
    assert {weight.dtype for weight in model.weights} == {"float32"}
    assert model.get_layer("stride8_block_2_conv").compute_dtype == policy.removeprefix("mixed_")
    logits = model(random_image(1, 32, 40, 3), training=True)
    assert logits.dtype == tf.float32 and np.isfinite(np.asarray(logits)).all()


def encode_vgg(width: int, deepest: Any, dense_width: int = 16) -> Encoded:
    prepared = prepare_images(Normalization(MEAN, STD))
    return build_vgg16_encoder(
        prepared, 0.0, "float32", normalized=True, deepest=deepest, width=width, dense_width=dense_width
    )


def filters_of(model: keras.Model, kind: type, prefix: str) -> list[int]:
    return [
        layer.filters for layer in model.layers if isinstance(layer, kind) and layer.name.startswith(prefix)
    ]


def test_segnet_mirrors_the_thirteen_convolutions_of_vgg16() -> None:
    """SegNet, section 3 and figure 2, at a sixteenth of its width."""
    encoded = encode_vgg(4, "pool")
    config = ModelConfig(backbone="vgg16", head="segnet")
    model = keras.Model(encoded.images, build_segnet(encoded, CLASSES, config, "float32"))
    assert filters_of(model, keras.layers.Conv2D, "block") == [4, 4, 8, 8, 16, 16, 16, *[32] * 6]
    # 512 512 512 | 512 512 256 | 256 256 128 | 128 64 | 64, and the last one scores.
    assert filters_of(model, keras.layers.Conv2D, "decode") == [*[32] * 5, 16, 16, 16, 8, 8, 4, 4]
    assert [layer.factor for layer in model.layers if hasattr(layer, "factor")] == []
    assert sum(isinstance(layer, MaxUnpooling2D) for layer in model.layers) == 5
    assert sum(isinstance(layer, SynchronizedBatchNormalization) for layer in model.layers) == 13 + 12
    assert model.get_layer("score").kernel_size == (3, 3)
    # Each unpooling undoes the pool at its stride.
    for stride in (1, 2, 4, 8, 16):
        pool = model.get_layer(f"block{stride.bit_length()}_pool")
        assert model.get_layer(f"unpool_stride{stride}").input[1] is pool.output[1]


def test_deconvnet_mirrors_the_dense_layers_too_and_deconvolves() -> None:
    """DeconvNet, section 3.2 and figure 2, at a sixteenth of its width."""
    encoded = encode_vgg(4, "dense")
    config = ModelConfig(backbone="vgg16", head="deconvnet")
    model = keras.Model(encoded.images, build_deconvnet(encoded, CLASSES, config, "float32"))
    deconvolutions = [layer for layer in model.layers if isinstance(layer, Deconvolution2D)]
    assert [layer.filters for layer in deconvolutions] == [32, *[32] * 5, 16, 16, 16, 8, 8, 4, 4, 4]
    assert [layer.kernel_size for layer in deconvolutions] == [7, *[3] * 13]
    assert {layer.factor for layer in deconvolutions} == {1}
    assert sum(isinstance(layer, MaxUnpooling2D) for layer in model.layers) == 5
    assert model.get_layer("score").kernel_size == (1, 1)


def test_a_deconvolution_that_keeps_the_size_is_a_convolution_with_the_kernel_turned() -> None:
    layer = Deconvolution2D(1, 3, 3, kernel_initializer="glorot_uniform")
    image = random_image(1, 5, 6, 2)
    outputs = np.asarray(layer(image))
    kernel = layer.get_weights()[0]
    turned = np.transpose(kernel[::-1, ::-1], (0, 1, 3, 2))
    np.testing.assert_allclose(outputs, tf.nn.conv2d(image, turned, 1, "SAME"), rtol=1e-5, atol=1e-3)


def test_unet_concatenates_the_encoders_features_at_every_stride(tiny: Callable[..., keras.Model]) -> None:
    model = tiny(TINY[0])
    # The small encoder has 2, 4, 8, 16 channels at strides 2 to 16, and as many are upsampled to join them.
    for stride, channels in {2: 2, 4: 4, 8: 8, 16: 16}.items():
        join = model.get_layer(f"decode_stride{stride}_join")
        encoder, decoder = join.input
        assert [tensor.shape[-1] for tensor in (encoder, decoder)] == [channels, channels]
        assert decoder is model.get_layer(f"upsample_to_stride{stride}").output
        assert model.get_layer(f"decode_stride{stride}_2_conv").filters == channels
    assert model.get_layer("upsample_to_image").factor == 2


def test_every_name_of_the_configuration_can_be_built() -> None:
    fields = ModelConfig.model_fields
    assert set(ENCODERS) == set(fields["backbone"].annotation.__args__)
    assert set(HEADS) == set(fields["head"].annotation.__args__)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            {"backbone": "resnet50", "head": "segnet"},
            "take backbone small_pooled or vgg16, or head unet or fcn4s",
        ),
        ({"backbone": "small", "head": "deconvnet"}, "small halves by strided convolutions"),
        (
            {"backbone": "small", "weights": "imagenet"},
            "no weights imagenet for backbone small: take one of vgg16",
        ),
    ],
)
def test_parts_that_do_not_fit_are_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        ModelConfig(**settings)


def test_decay_spares_what_interpolates_only(tiny: Callable[..., keras.Model]) -> None:
    model = tiny(TINY[3])
    optimizer = make_optimizer(model, TrainerConfig(weight_decay=0.5))
    before = [weight.numpy() for weight in model.trainable_variables]
    optimizer.apply([tf.zeros(weight.shape) for weight in before], tf.constant(0.1))
    spared = {
        weight.path
        for weight, value in zip(model.trainable_variables, before, strict=True)
        if weight.name == "kernel" and np.array_equal(weight.numpy(), value)
    }
    for weight, value in zip(model.trainable_variables, before, strict=True):
        weight.assign(value)
    assert spared == {"upsample_to_image/kernel"}


def check_application(backbone: BackboneName, head: HeadName, policy: str) -> keras.Model:
    model = build(backbone, head, policy)
    names = {type(layer).__name__ for layer in model.layers}
    assert "BatchNormalization" not in names and "SynchronizedBatchNormalization" in names
    image = random_image(1, 45, 70, 3)
    logits = model(image)
    assert logits.shape == (1, 45, 70, CLASSES) and logits.dtype == tf.float32
    return model


# include_top=False, as Keras' own documentation and code have it; what the encoder alone holds.
PARAMETERS = {
    "resnet50": 23_587_712,
    "mobilenet_v3_small": 939_120,
    "mobilenet_v3_large": 2_996_352,
    "efficientnet_v2_b0": 5_919_312,
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backbone", "head", "policy"),
    [
        ("mobilenet_v3_small", "unet", "float32"),
        pytest.param("mobilenet_v3_large", "fcn4s", "mixed_bfloat16", marks=LONG),
        pytest.param("resnet50", "unet", "mixed_bfloat16", marks=LONG),
        pytest.param("resnet50", "fcn8s", "float32", marks=LONG),
        pytest.param("efficientnet_v2_b0", "unet", "mixed_bfloat16", marks=LONG),
        pytest.param("efficientnet_v2_b0", "fcn8s", "float32", marks=LONG),
    ],
)
def test_encoders_of_keras_work(backbone: BackboneName, head: HeadName, policy: str) -> None:
    model = check_application(backbone, head, policy)
    ours = ("normalize", "decode", "upsample", "score")
    counted = sum(layer.count_params() for layer in model.layers if not layer.name.startswith(ours))
    assert counted == PARAMETERS[backbone]
    if backbone == "resnet50":
        assert 200 < measure_reach_px(model) < 900
        check_reach(model, most_px=900)
    else:
        # Squeeze and excitation: every pixel sees the whole image.
        assert measure_reach_px(model) == float("inf")
    if policy == "float32":
        # Biases before a normalisation do nothing.
        check_gradients(model, skip=lambda path: path.endswith("/bias"))


@LONG
def test_deconvnet_of_the_configuration_has_the_papers_size() -> None:
    """Noh et al., section 3.2: about 252 million parameters."""
    model = build("vgg16", "deconvnet")
    assert 251e6 < model.count_params() < 253e6


@pytest.mark.slow
def test_segnet_of_the_configuration_has_the_papers_size() -> None:
    """Badrinarayanan et al., PAMI 2017, table 6: a model of 117 MB, at 4 bytes a parameter."""
    assert build("vgg16", "segnet").count_params() * 4 == pytest.approx(117e6, rel=0.01)


@LONG
@pytest.mark.parametrize("head", ["deconvnet", "segnet"])
def test_a_tiny_network_that_unpools_learns_four_images_by_heart(head: HeadName) -> None:
    """Discs and boxes of the colours of their classes, a pixel from the next one to it."""
    keras.utils.set_random_seed(0)
    config = ModelConfig(backbone="small_pooled", head=head, width=16, dropout=0.0)
    model = build_model(config, 2, MEAN, STD)
    rows, columns = np.mgrid[:32, :32]
    masks = np.stack([np.hypot(rows - 10 - 3 * n, columns - 20 + 4 * n) < 7 + n for n in range(4)])
    images = np.where(masks[..., np.newaxis], [220.0, 60, 40], [60.0, 60, 60]).astype(np.float32)
    optimizer = make_optimizer(model, TrainerConfig())
    weights = [weight.value for weight in model.trainable_variables]

    @tf.function(autograph=False)
    def step() -> Any:
        with tf.GradientTape() as tape:
            logits = model(images, training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(masks.astype(np.int32), logits)
            loss = tf.reduce_mean(losses)
        optimizer.apply(tape.gradient(loss, weights), tf.constant(5e-3))
        return loss

    losses = [float(step()) for _ in range(100)]
    assert losses[-1] < 0.1 * losses[0]
    assert (np.argmax(model(images, training=True), axis=-1) == masks).mean() > 0.97


@LONG
def test_a_tiny_unet_learns_four_images_by_heart(make_job: Callable[..., TrainingJob]) -> None:
    job = make_job(
        train_count=4,
        val_count=0,
        batch_size=4,
        epochs=200,
        validate_every_epochs=200,
        learning_rate=1e-2,
        model=ModelConfig(head="unet", upsampling="resize_convolution", width=8, dropout=0.0),
    )
    result = train(dataclasses.replace(job, val_patterns=job.train_patterns))
    assert result.history[-1]["loss"] < 0.2 * result.history[0]["loss"]
    assert result.summary["best_val_mean_iou"] > 0.8
    assert result.summary["flops"] == count_flops(result.model, 32, 32)
    assert 0 < result.summary["trainable_parameters"] < result.summary["parameters"]
