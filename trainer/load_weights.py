"""Gives a new network its first weights: those of ImageNet, or of a network that was trained before."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from data.errors import Problem, RefusedError
from trainer.application_backbones import APPLICATIONS, CAFFE
from trainer.fcn import SKIP_STRIDES
from trainer.model_config import IMAGENET, NO_WEIGHTS, ModelConfig
from trainer.prepare_images import ImageNormalization
from trainer.read_weights import KEY, Weights, read_weights

_LOGGER = logging.getLogger(__name__)

_DENSE_LAYERS = {"fc1": ("fc6", 7), "fc2": ("fc7", 1)}
"""VGG16's dense layers, and the convolutions that they are cast into (FCN, section 3.1)."""


@dataclass(frozen=True)
class FirstWeights:
    """What a network started from.

    Attributes:
        source: as configured.
        taken: weights (kernels, biases, moments ...) that were taken over.
        fresh: paths of those that were not, for want of one of that name and shape.
    """

    source: str
    taken: int
    fresh: tuple[str, ...]


def load_weights(model: keras.Model, config: ModelConfig) -> FirstWeights | None:
    """Takes over what fits by layer, name and shape; logs by name what stays as it is.

    Args:
        model: built from the configuration, in the scope of its devices.
        config: tells from where.

    Returns:
        What was taken over; None where nothing was asked for.

    Raises:
        RefusedError: the weights cannot be had, or nothing of them fits.
    """
    if config.weights == NO_WEIGHTS:
        return None
    weights = read_imagenet(config) if config.weights == IMAGENET else read_weights(config.weights)
    taken, fresh = 0, []
    for layer in model.layers:
        for index, variable in enumerate(layer.weights):
            array = weights.get(f"{layer.name}/{variable.name}", weights.get(f"{layer.name}/{index}"))
            fits = array is not None and tuple(array.shape) == tuple(variable.shape)
            if fits:
                variable.assign(array)
            if isinstance(layer, ImageNormalization):
                # Nothing that was learned.
                continue
            taken += fits
            if not fits:
                fresh.append(variable.path)
    if not taken:
        what = (
            f"is {config.weights}, and none of its {len(weights)} weights fits {model.name} by name and shape"
        )
        remedy = "Take the backbone and head that they were trained with, or set weights: none"
        raise RefusedError([Problem(KEY, what, remedy, "foreign_weights")])
    _LOGGER.info("%d weights come from %s, %d are fresh.", taken, config.weights, len(fresh))
    for path in fresh:
        _LOGGER.info("Fresh: %s", path)
    return FirstWeights(config.weights, taken, tuple(fresh))


def read_imagenet(config: ModelConfig) -> Weights:
    """Returns the backbone's weights by keras.applications, which downloads them to its cache the first time.

    Kernels that were trained on BGR are turned to RGB; VGG16's dense layers come as convolutions.

    Raises:
        RefusedError: they are not in the cache and cannot be downloaded.
    """
    source = _build(config)
    weights = {f"{layer.name}/{w.name}": w.numpy() for layer in source.layers for w in layer.weights}
    application = APPLICATIONS.get(config.backbone)
    if application is None or application.normalization is CAFFE:
        first = next(layer for layer in source.layers if layer.weights).name
        weights[f"{first}/kernel"] = weights[f"{first}/kernel"][:, :, ::-1]
    for dense, (name, side) in _DENSE_LAYERS.items():
        if f"{dense}/kernel" in weights:
            kernel = weights.pop(f"{dense}/kernel")
            weights[f"{name}/kernel"] = kernel.reshape(side, side, -1, kernel.shape[-1])
            weights[f"{name}/bias"] = weights.pop(f"{dense}/bias")
    return weights


def fetch_imagenet(config: ModelConfig) -> None:
    """Brings the file that ``read_imagenet`` needs to Keras' cache, if it needs one and it is not there.

    Raises:
        RefusedError: it cannot be downloaded.
    """
    if config.weights == IMAGENET and not _find_cached(config).exists():
        _build(config)


def _find_cached(config: ModelConfig) -> Path:
    """Returns where Keras keeps the file."""
    if config.backbone in APPLICATIONS:
        name = APPLICATIONS[config.backbone].weights_file
    else:
        name = f"vgg16_weights_tf_dim_ordering_tf_kernels{'' if _has_dense_layers(config) else '_notop'}.h5"
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models" / name


def _has_dense_layers(config: ModelConfig) -> bool:
    return config.head in SKIP_STRIDES or config.head == "deconvnet"


def _build(config: ModelConfig) -> Any:
    """Builds Keras' own network with its weights; refuses where it cannot."""
    try:
        return _build_original(config)
    except Exception as error:
        # Keras raises bare exceptions where a download fails, and others for a damaged file.
        file, reason = _find_cached(config), " ".join(str(error).split())[:300]
        what = f"is imagenet, and keras.applications cannot get {file.name} ({reason})"
        remedy = f"Put the file there by hand, as {file}, or set weights: none"
        raise RefusedError([Problem(KEY, what, remedy, "no_imagenet_weights")]) from error


def _build_original(config: ModelConfig) -> Any:
    if config.backbone in APPLICATIONS:
        return APPLICATIONS[config.backbone].build(include_top=False, weights="imagenet")
    return keras.applications.VGG16(include_top=_has_dense_layers(config), weights="imagenet")
