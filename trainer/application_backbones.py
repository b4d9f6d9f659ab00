"""Encoders that come with Keras: their layers, with our batch normalisation and dtype policy in them.

Features at a stride are what the first layer of the next stage reads, before it halves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from trainer.batch_normalization import SynchronizedBatchNormalization
from trainer.encoded import Encoded
from trainer.model_config import BackboneName, ModelConfig
from trainer.prepare_images import ImageNormalization, Normalization, PadToMultiple

CAFFE = Normalization((123.68, 116.779, 103.939), (1.0, 1.0, 1.0))
"""Of networks that came from Caffe. They were trained on BGR; ``load_weights`` turns their first kernel."""
ONE_TO_ONE = Normalization((127.5,) * 3, (127.5,) * 3)
"""From -1 to 1."""
IMAGENET_MOMENTS = Normalization(
    tuple(255 * mean for mean in (0.485, 0.456, 0.406)), tuple(255 * std for std in (0.229, 0.224, 0.225))
)


@dataclass(frozen=True)
class Application:
    """An encoder of keras.applications.

    Attributes:
        build: the function of Keras, from ``weights`` and ``input_tensor`` on.
        readers: stride to the layer that reads the features at that stride.
        normalization: that its weights from ImageNet expect.
        weights_file: name of the file with these weights, as Keras' cache knows it.
    """

    build: Callable[..., Any]
    readers: dict[int, str]
    normalization: Normalization
    weights_file: str


def _build_mobilenet_v3_small(**options: Any) -> Any:
    return keras.applications.MobileNetV3Small(include_preprocessing=False, **options)


def _build_mobilenet_v3_large(**options: Any) -> Any:
    return keras.applications.MobileNetV3Large(include_preprocessing=False, **options)


def _build_efficientnet_v2_b0(**options: Any) -> Any:
    return keras.applications.EfficientNetV2B0(include_preprocessing=False, **options)


APPLICATIONS: dict[BackboneName, Application] = {
    "resnet50": Application(
        keras.applications.ResNet50,
        {2: "pool1_pad", 4: "conv3_block1_1_conv", 8: "conv4_block1_1_conv", 16: "conv5_block1_1_conv"},
        CAFFE,
        "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
    ),
    "mobilenet_v3_small": Application(
        _build_mobilenet_v3_small,
        {
            2: "expanded_conv_depthwise_pad",
            4: "expanded_conv_1_expand",
            8: "expanded_conv_3_expand",
            16: "expanded_conv_8_expand",
        },
        ONE_TO_ONE,
        "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5",
    ),
    "mobilenet_v3_large": Application(
        _build_mobilenet_v3_large,
        {
            2: "expanded_conv_1_expand",
            4: "expanded_conv_3_expand",
            8: "expanded_conv_6_expand",
            16: "expanded_conv_12_expand",
        },
        ONE_TO_ONE,
        "weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5",
    ),
    "efficientnet_v2_b0": Application(
        _build_efficientnet_v2_b0,
        {
            2: "block2a_expand_conv",
            4: "block3a_expand_conv",
            8: "block4a_expand_conv",
            16: "block6a_expand_conv",
        },
        IMAGENET_MOMENTS,
        "efficientnetv2-b0_notop.h5",
    ),
}


def build_application(prepared: keras.Model, config: ModelConfig, policy: Any) -> Encoded:
    """Builds an encoder of keras.applications with random weights.

    Args:
        prepared: from images to normalised images [batch, height, width, 3], sides multiples of 32.
        config: which one, and what share of its deepest features training drops.
        policy: the layers' dtype policy.
    """
    application = APPLICATIONS[config.backbone]
    original = application.build(include_top=False, weights=None, input_tensor=prepared.output)
    encoder = keras.models.clone_model(
        original, clone_function=lambda layer: _adapt(layer, policy), call_function=_call_without_mask
    )
    skips = {stride: encoder.get_layer(name).input for stride, name in application.readers.items()}
    dropout = keras.layers.Dropout(config.dropout, name="stride32_dropout", dtype=policy)
    features = {**skips, 32: dropout(encoder.outputs[0])}
    return Encoded(encoder.inputs[0], features, skips)


def _adapt(operation: Any, policy: Any) -> Any:
    """Makes a layer of Keras again: one batch normalisation for all devices, and our dtype policy.

    Momentum is ours, too: theirs (up to 0.999) suits trainings of many thousand steps.
    """
    config = operation.get_config()
    if isinstance(operation, keras.layers.BatchNormalization):
        return SynchronizedBatchNormalization(
            epsilon=operation.epsilon, name=operation.name, dtype=policy, trainable=operation.trainable
        )
    if isinstance(operation, keras.layers.Layer) and not isinstance(
        operation, ImageNormalization | PadToMultiple
    ):
        config["dtype"] = policy
    return operation.__class__.from_config(config)


def _call_without_mask(operation: Any, *arguments: Any, mask: Any = None, **options: Any) -> Any:
    """Calls a layer as it was called in the original; images have no masks, but Keras hands them on."""
    return operation(*arguments, **options)
