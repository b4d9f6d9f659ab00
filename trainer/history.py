"""Writes what a training did: ``history.jsonl``, ``training.json`` and events for TensorBoard."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

HISTORY_NAME = "history.jsonl"
SUMMARY_NAME = "training.json"


def write_history(folder: str, history: Sequence[Mapping[str, Any]]) -> None:
    """Writes ``history.jsonl``: a line of JSON an epoch, without nan (null instead).

    Keys are ``epoch``, ``step``, ``loss``, ``learning_rate``, ``val`` (metrics at working size, null where
    the epoch was not validated), ``seconds`` and ``images_per_second``.
    """
    lines = [json.dumps(replace_nan(entry), allow_nan=False) + "\n" for entry in history]
    write_whole(f"{folder}/{HISTORY_NAME}", "".join(lines))


def write_summary(folder: str, summary: Mapping[str, Any]) -> None:
    """Writes ``training.json``."""
    write_whole(
        f"{folder}/{SUMMARY_NAME}", json.dumps(replace_nan(summary), indent=2, allow_nan=False) + "\n"
    )


def write_whole(path: str, text: str) -> None:
    """Writes a file that appears whole or not at all."""
    tf.io.gfile.makedirs(path.rpartition("/")[0])
    unfinished = f"{path}.unfinished"
    with tf.io.gfile.GFile(unfinished, "w") as stream:
        stream.write(text)
    tf.io.gfile.rename(unfinished, path, overwrite=True)


def replace_nan(value: Any) -> Any:
    """Returns the JSON value with None for each float that is not finite."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: replace_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [replace_nan(entry) for entry in value]
    return value


class EventWriter:
    """Writes numbers and pictures for TensorBoard, all into one file: it follows one at a time in a folder.

    Args:
        folder: the event file lies in it.
    """

    def __init__(self, folder: str) -> None:
        self._writer = tf.summary.create_file_writer(folder)

    def write(self, entry: Mapping[str, Any]) -> None:
        """Writes one entry of the history at its step."""
        with self._writer.as_default(step=int(entry["step"])):
            for name in ("loss", "learning_rate", "images_per_second"):
                tf.summary.scalar(f"train/{name}", entry[name])
            for name, value in (entry["val"] or {}).items():
                if value is not None and math.isfinite(value):
                    tf.summary.scalar(f"val/{name}", value)
        self._writer.flush()

    def write_images(self, images: Mapping[str, Any], step: int, description: str) -> None:
        """Writes pictures, uint8 [height, width, 3] each, by their names."""
        with self._writer.as_default(step=step):
            for name, pixels in images.items():
                tf.summary.image(name, pixels[None], max_outputs=1, description=description)
        self._writer.flush()

    def close(self) -> None:
        """Closes the event file."""
        self._writer.close()
