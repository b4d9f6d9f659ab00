"""Exports the network: a SavedModel with signatures that plain TensorFlow and TF Serving run.

The export is float32 at any training precision: weights are float32 anyway, and a model is served on
other hardware than it was trained on.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from data.config import DataConfig, TransformConfig
from data.read_transformed import DatasetStatistics
from trainer.build_model import build_model
from trainer.inference_config import InferenceConfig
from trainer.inference_file import INFERENCE_FILE
from trainer.model_config import ModelConfig
from trainer.served_model import ServedModel

_ONE_PASS = InferenceConfig()


def export_model(
    trained: keras.Model,
    config: ModelConfig,
    data: DataConfig,
    transform: TransformConfig,
    statistics: DatasetStatistics,
    folder: str,
    inference: InferenceConfig = _ONE_PASS,
) -> None:
    """Exports a trained network as a SavedModel, which appears whole or not at all.

    Args:
        trained: the network, at any precision and on any devices.
        config: what it was built from.
        data: the class table, the ignore id, the bit depth.
        transform: the working size.
        statistics: of the train split, as the network was built with.
        folder: is made; anything there is replaced.
        inference: flips, scales and windows of every signature; also written beside the graph.
    """
    mean, std = statistics.channel_mean.tolist(), statistics.channel_std.tolist()
    network = build_model(config, len(data.classes), mean, std, "float32")
    network.set_weights(trained.get_weights())
    served = ServedModel(network, len(data.classes), data, transform, mean, inference)
    unfinished = f"{folder.rstrip('/')}.unfinished"
    for path in (unfinished, folder):
        if tf.io.gfile.exists(path):
            tf.io.gfile.rmtree(path)
    tf.saved_model.save(served, unfinished, signatures=served.signatures())
    described = f"{unfinished}/{INFERENCE_FILE}"
    tf.io.gfile.makedirs(described.rpartition("/")[0])
    with tf.io.gfile.GFile(described, "w") as file:
        file.write(inference.model_dump_json())
    tf.io.gfile.rename(unfinished, folder)
