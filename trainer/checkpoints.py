"""Checkpoints of a training, so that one that was killed goes on, and the best weights so far.

TFX gives every execution a folder of its own. What is kept here lies in a folder named after what is
trained (configuration, code, records), so that a retry finds it. A checkpoint appears whole: TensorFlow's
CheckpointManager writes it first and names it current last. The best weights are files of their own, and
which of them counts stands in that checkpoint: however a training is killed, the two belong together.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import tensorflow as tf

from trainer.learner import Learner
from trainer.model_config import ModelConfig
from trainer.read_weights import fingerprint_weights

_READ_BYTES = 8_000_000
_RELEASED = "exported"
KEEP_RELEASED_SECONDS = 24 * 3600.0
"""By then whoever records the model has done so, or tried again."""


@dataclass
class TrainingRecord(tf.train.experimental.PythonState):
    """What is known of a training beside its variables.

    Attributes:
        epochs: epochs that are done.
        seconds: time spent, over all attempts.
        history: one entry an epoch, as in ``history.jsonl``.
        best_epoch: whose weights are the best so far, None before the first validation.
        best_score: its mean IoU on the validation split.
        best_step: steps done by then; the best weights' file has its name from it.
        part_steps: steps of the epoch that is not done yet.
        part_loss: sum of their losses.
        part_seconds: time that they took.
        validation_seconds: what the last validation took, None before the first.
    """

    epochs: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int | None = None
    best_score: float | None = None
    best_step: int | None = None
    part_steps: int = 0
    part_loss: float = 0.0
    part_seconds: float = 0.0
    validation_seconds: float | None = None

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
        self._learner, self._record = learner, record
        last = tf.train.Checkpoint(record=record, **learner.trackables())
        self._last = tf.train.CheckpointManager(last, f"{folder}/last", max_to_keep=1)
        self._best = tf.train.Checkpoint(weights=learner.weights())
        self._noted_best: int | None = None

    def save_last(self) -> None:
        """Saves everything that the training needs to go on from here."""
        self._last.save()
        self._noted_best = self._record.best_step
        self._remove_worse()

    def save_best(self) -> None:
        """Saves the weights as they are as the best so far; they count from the next ``save_last`` on."""
        self._record.best_step = int(self._learner.step)
        self._best.write(self._best_path())
        self._remove_worse()

    def restore_last(self) -> bool:
        """Goes on where the last attempt stopped; returns whether there was one."""
        path = self._last.latest_checkpoint
        if path is None:
            return False
        self._last.checkpoint.restore(path).assert_consumed()
        self._noted_best = self._record.best_step
        return True

    def restore_best(self) -> bool:
        """Gives the network its best weights; returns whether there are any."""
        if self._record.best_step is None:
            return False
        self._best.read(self._best_path()).assert_consumed()
        return True

    def release(self) -> None:
        """Marks everything as done with: the model is exported, though not yet recorded.

        Until ``remove_released`` a training that is asked for again exports again, and does not train.
        """
        with tf.io.gfile.GFile(f"{self._folder}/{_RELEASED}", "w") as stream:
            stream.write("exported\n")

    def _best_path(self) -> str:
        return f"{self._folder}/best/{_name_best(self._record.best_step)}"

    def _remove_worse(self) -> None:
        """Removes weights that count neither now nor after a kill, and what a kill left half written."""
        kept = {_name_best(self._record.best_step), _name_best(self._noted_best)}
        for path in tf.io.gfile.glob(f"{self._folder}/best/*"):
            if path.rpartition("/")[2].partition(".")[0] in kept:
                continue
            if tf.io.gfile.isdir(path):
                tf.io.gfile.rmtree(path)
            else:
                tf.io.gfile.remove(path)


def remove_released(root: str, older_than_seconds: float = 0.0) -> None:
    """Deletes the checkpoints below a folder that were released so long ago.

    Args:
        root: holds a folder for each training; it need not be there.
        older_than_seconds: 0 where their models are known to be recorded.
    """
    for marker in tf.io.gfile.glob(f"{root.rstrip('/')}/*/{_RELEASED}"):
        seconds = tf.io.gfile.stat(marker).mtime_nsec / 1e9
        if time.time() - seconds >= older_than_seconds:
            tf.io.gfile.rmtree(marker.rpartition("/")[0])


def _name_best(step: int | None) -> str:
    return f"step-{step}"


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
