"""Reads the history that the training left. Imports neither TFX nor TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from components.report.facts import Epoch
from components.report.format_values import defined
from data.open_files import exists, join_path, read_bytes

HISTORY_FILE = "history.jsonl"
SUMMARY_FILE = "training.json"


def read_history(folder: str | None) -> tuple[Epoch, ...]:
    """Returns the epochs in a folder's history.jsonl; empty if there is none."""
    if not folder or not exists(path := join_path(folder, HISTORY_FILE)):
        return ()
    lines = read_bytes(path).decode().splitlines()
    return tuple(_read_epoch(json.loads(line)) for line in lines if line.strip())


def _read_epoch(entry: Mapping[str, Any]) -> Epoch:
    step = defined(entry.get("step"))
    validation = {name: defined(value) for name, value in (entry.get("val") or {}).items()}
    return Epoch(
        epoch=int(entry["epoch"]),
        step=None if step is None else int(step),
        training_loss=defined(entry.get("loss")),
        learning_rate=defined(entry.get("learning_rate")),
        validation={name: value for name, value in validation.items() if value is not None},
        seconds=defined(entry.get("seconds")),
        images_per_second=defined(entry.get("images_per_second")),
    )
