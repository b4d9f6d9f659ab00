"""Checkpoints of a training, so that one that was killed goes on, and the best weights so far.

TFX gives every execution a folder of its own. What is kept here lies in a folder named after what is
trained (configuration, code, records), so that a retry finds it. A checkpoint appears whole: TensorFlow's
CheckpointManager writes it first and names it current last.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import tensorflow as tf

from trainer.learner import Learner
from trainer.model_config import ModelConfig
from trainer.read_weights import fingerprint_weights

_READ_BYTES = 8_000_000


@dataclass
class TrainingRecord(tf.train.experimental.PythonState):
    """What is known of a training beside its variables.

    Attributes:
        epochs: epochs that are done.
        seconds: time spent, over all attempts.
        history: one entry an epoch, as in ``history.jsonl``.
        best_epoch: whose weights are the best so far, None before the first validation.
        best_score: its mean IoU on the validation split.
    """

    epochs: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int | None = None
    best_score: float | None = None

    # Checkpoints keep trackables in sets; two records are never the same one.
    __hash__ = object.__hash__

    def serialize(self) -> str:
        """Returns the record as JSON; called by TensorFlow when it saves."""
        return json.dumps({name: getattr(self, name) for name in self.__dataclass_fields__})

    def deserialize(self, string_value: bytes | str) -> None:
        """Takes the record over from JSON; called by TensorFlow when it restores."""
        for name, value in json.loads(string_value).items():
            setattr(self, name, value)


class Checkpoints:
    """The last state and the best weights of one training.

    Args:
        folder: of this training alone; made when first saved to.
        learner: what is saved and restored.
        record: saved and restored with it.
    """

    def __init__(self, folder: str, learner: Learner, record: TrainingRecord) -> None:
        self._folder = folder
        last = tf.train.Checkpoint(record=record, **learner.trackables())
        best = tf.train.Checkpoint(weights=learner.weights())
        self._last = _manage(last, folder, "last")
        self._best = _manage(best, folder, "best")

    def save_last(self) -> None:
        """Saves everything that the training needs to go on from here."""
        self._last.save()

    def save_best(self) -> None:
        """Saves the weights as they are as the best so far."""
        self._best.save()

    def restore_last(self) -> bool:
        """Goes on where the last attempt stopped; returns whether there was one."""
        path = self._last.latest_checkpoint
        if path is None:
            return False
        self._last.checkpoint.restore(path).assert_consumed()
        return True

    def restore_best(self) -> bool:
        """Gives the network its best weights; returns whether there are any."""
        path = self._best.latest_checkpoint
        if path is None:
            return False
        self._best.checkpoint.restore(path).assert_consumed()
        return True

    def remove(self) -> None:
        """Deletes everything: the training is done and its model exported."""
        if tf.io.gfile.exists(self._folder):
            tf.io.gfile.rmtree(self._folder)


def name_training(configuration: Mapping[str, Any], code_fingerprint: str, files: Sequence[str]) -> str:
    """Names a training after everything that its result depends on.

    Args:
        configuration: sections of the configuration, as JSON values. Of weights to start from, the content
            counts, too.
        code_fingerprint: of the project's source.
        files: of the records, by path; their content counts, not where they are.

    Returns:
        A name for a folder, hex.
    """
    digest = hashlib.sha256()
    digest.update(json.dumps([configuration, code_fingerprint], sort_keys=True).encode())
    model = configuration.get("trainer", {}).get("model")
    if model and (weights := ModelConfig.model_validate(model).weights_path):
        digest.update(fingerprint_weights(weights).encode())
    for file in sorted(files, key=lambda path: PurePosixPath(path).name):
        digest.update(PurePosixPath(file).name.encode())
        with tf.io.gfile.GFile(file, "rb") as stream:
            while chunk := stream.read(_READ_BYTES):
                digest.update(chunk)
    return digest.hexdigest()[:32]


def _manage(checkpoint: tf.train.Checkpoint, folder: str, name: str) -> tf.train.CheckpointManager:
    return tf.train.CheckpointManager(checkpoint, f"{folder}/{name}", max_to_keep=1)
