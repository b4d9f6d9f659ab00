"""The limits: the same work in plain loops, with nothing of this project but the network itself.

No shards, no checks, no records of what was done: what is left when everything that is not the work is taken
away. The loops are as one would write them in an afternoon, in one thread where Python is.
"""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FilePairs = Sequence[tuple[str, str]]
"""Paths of images and of their masks."""


def ingest(pairs: FilePairs, target: Path) -> None:
    """Reads, hashes and decodes both files of each pair and writes them one behind the other."""
    with target.open("wb") as stream:
        for paths in pairs:
            for path in paths:
                content = Path(path).read_bytes()
                digest = hashlib.sha256(content).hexdigest()
                pixels = np.asarray(Image.open(io.BytesIO(content)))
                header = f"{path} {digest} {pixels.shape} {len(content)}\n".encode()
                stream.write(header + content)


def transform(pairs: FilePairs, height: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Decodes and resizes every pair, and encodes the result as PNG.

    Returns:
        images uint8 [count, height, width, 3] and masks uint8 [count, height, width].
    """
    images = np.empty((len(pairs), height, width, 3), np.uint8)
    masks = np.empty((len(pairs), height, width), np.uint8)
    for index, (image_path, mask_path) in enumerate(pairs):
        image = Image.open(image_path).convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
        mask = Image.open(mask_path).resize((width, height), Image.Resampling.NEAREST)
        for picture in (image, mask):
            picture.save(io.BytesIO(), "PNG", compress_level=1)
        images[index], masks[index] = np.asarray(image), np.asarray(mask)
    return images, masks


def compile_keras(config: Any, num_classes: int, ignore_id: int) -> Any:
    """Returns the same network, optimizer and loss, compiled by Keras: float32, without a strategy."""
    import keras

    from trainer.build_model import build_model

    keras.utils.set_random_seed(config.seed)
    model = build_model(config.model, num_classes, [110.0] * 3, [60.0] * 3, "float32")
    model.compile(
        optimizer=keras.optimizers.AdamW(
            config.learning_rate, weight_decay=config.weight_decay, global_clipnorm=config.gradient_clip_norm
        ),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=ignore_id),
    )
    return model


def time_fit(model: Any, batches: Any, steps: int) -> float:
    """Returns the seconds of so many steps of ``Model.fit``, without its beginning and end.

    Args:
        model: compiled.
        batches: an endless data set of pairs (images, masks).
        steps: so many are timed, behind two that are not.
    """
    import keras

    ends: list[float] = []

    def note_end(batch: int, logs: Any) -> None:
        ends.append(time.perf_counter())

    clock = keras.callbacks.LambdaCallback(on_train_batch_end=note_end)
    model.fit(batches, steps_per_epoch=steps + 2, epochs=1, verbose=0, callbacks=[clock])
    return ends[-1] - ends[1]


def evaluate(serve: Any, records: Iterable[Any], num_classes: int, ignore_id: int) -> NDArray[np.int64]:
    """Sends one image after the other through ``serving_default`` and counts its mask in numpy.

    Args:
        serve: the signature.
        records: serialized raw examples, string tensors.
        num_classes: of the matrix.
        ignore_id: of void.

    Returns:
        int64 [classes, classes], rows truth.
    """
    import tensorflow as tf

    total = np.zeros((num_classes, num_classes), np.int64)
    for record in records:
        example = tf.train.Example.FromString(record.numpy()).features.feature
        answer = serve(image_bytes=tf.constant([example["image/encoded"].bytes_list.value[0]]))
        predicted = np.asarray(Image.open(io.BytesIO(answer["mask_png_bytes"].numpy()[0])))
        truth = np.asarray(Image.open(io.BytesIO(example["mask/encoded"].bytes_list.value[0])))
        known = truth != ignore_id
        joint = num_classes * truth[known].astype(np.int64) + predicted[known]
        total += np.bincount(joint, minlength=num_classes**2).reshape(num_classes, num_classes)
    return total
