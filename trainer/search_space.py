"""The search space of hyper-parameters: what is wrong with it, and how a trial takes values from it.

A section of the configuration is its JSON values. Imports no TensorFlow.
"""

from __future__ import annotations

import copy
import difflib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from data.config import AugmentConfig, FrozenModel
from data.errors import Problem
from trainer.config import TrainerConfig
from trainer.tuner_config import SpaceEntry, TunerConfig

SECTIONS: dict[str, type[FrozenModel]] = {"trainer": TrainerConfig, "augment": AugmentConfig}
"""The sections whose keys may be searched over."""

JSON_MARK = "json:"
"""Begins the text that stands for a choice that is no number, truth value or text of its own."""

_FIXED = {
    "trainer.devices": "is divided once for all trials",
    "trainer.epochs": "says how long trials take",
    "trainer.max_minutes": "says how long trials take",
}
_FIXED_REMEDIES = {
    "trainer.epochs": "Set tuner.epochs",
    "trainer.max_minutes": "Set tuner.max_minutes",
}
_OWN_PREFIX = "tuner/"
"""Begins the names of what Hyperband notes among a trial's values."""

Sections = Mapping[str, Any]


def find_problems(tuner: TunerConfig, trainer: TrainerConfig, augment: AugmentConfig) -> list[Problem]:
    """Returns what is wrong with a space: keys that there are not, and values that they do not take.

    Each value is tried alone. What does not go together with another one is told by the trial that has both.
    """
    sections = {"trainer": trainer.model_dump(mode="json"), "augment": augment.model_dump(mode="json")}
    return [
        problem
        for key, entry in tuner.space.items()
        for problem in _find_entry_problems(key, entry, sections)
    ]


def merge_values(sections: Sections, values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns sections of the configuration with a trial's values in them.

    Args:
        sections: ``trainer`` and ``augment`` among them; left as they are.
        values: by dotted key, as KerasTuner has them.

    Raises:
        KeyError: there is no such key.
    """
    merged = copy.deepcopy(dict(sections))
    for key, value in read_values(values).items():
        *parents, last = key.split(".")
        node: Any = merged
        for part in parents:
            node = node[_index(node, part)]
        node[_index(node, last)] = value
    return merged


def read_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what was chosen for each key of the space, as JSON values."""
    return {
        key: json.loads(value.removeprefix(JSON_MARK))
        if isinstance(value, str) and value.startswith(JSON_MARK)
        else value
        for key, value in values.items()
        if not key.startswith(_OWN_PREFIX)
    }


def write_choices(entry: SpaceEntry) -> list[Any]:
    """Returns the values of a choice as KerasTuner takes them: of one type, and no lists or mappings."""
    choices = list(entry.choice or ())
    kinds = {type(choice) for choice in choices}
    if kinds <= {int, float} and len(kinds) == 2:
        return [float(choice) for choice in choices if isinstance(choice, int | float)]
    if len(kinds) == 1 and kinds <= {int, float, bool, str}:
        return choices
    return [JSON_MARK + json.dumps(choice, sort_keys=True) for choice in choices]


def takes_fractions(key: str, entry: SpaceEntry, sections: Sections) -> bool:
    """Says whether a range stands for all numbers between its ends, and not for whole ones only."""
    assert entry.min is not None and entry.max is not None
    if isinstance(entry.min, float) or isinstance(entry.max, float):
        return True
    inner = entry.min + (entry.max - entry.min) / math.e
    return _explain_value(key, inner, sections) is None


def _find_entry_problems(key: str, entry: SpaceEntry, sections: Sections) -> Iterator[Problem]:
    where = f"tuner.space.{key}"
    if key in _FIXED:
        yield Problem(where, _FIXED[key], _FIXED_REMEDIES.get(key, "Remove it"), "config_bad_value")
        return
    if not _exists(key, sections):
        known = sorted(known for known in _list_keys(sections) if "." in known)
        close = difflib.get_close_matches(key, known, n=1)
        remedy = f"Did you mean {close[0]}?" if close else "Name a key of trainer or augment by its full path"
        yield Problem(where, "is not a key of trainer or augment", remedy, "config_unknown_key")
        return
    if entry.choice is not None:
        candidates: list[Any] = [read_values({key: value})[key] for value in write_choices(entry)]
    else:
        candidates = [entry.min, entry.max]
        if isinstance(entry.step, float) and not takes_fractions(key, entry, sections):
            yield Problem(where, f"has a step of {entry.step}", "Take a whole number", "config_bad_value")
    for value in candidates:
        if why := _explain_value(key, value, sections):
            shown = json.dumps(value)[:80]
            yield Problem(where, f"may become {shown}: {why}", f"Take it out of {where}", "config_bad_value")


def _explain_value(key: str, value: Any, sections: Sections) -> str | None:
    """Says why a key does not take a value; None if it does."""
    name = key.partition(".")[0]
    merged = merge_values(sections, {key: value})[name]
    try:
        SECTIONS[name].model_validate_json(json.dumps(merged), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        message: str = first["msg"].removeprefix("Value error, ").replace("Input should be", "it should be")
        return message
    return None


def _exists(key: str, sections: Sections) -> bool:
    if key in SECTIONS:
        return False
    try:
        merge_values(sections, {key: None})
    except KeyError:
        return False
    return True


def _index(node: Any, part: str) -> str | int:
    """Returns the key or the index of what is there already.

    Raises:
        KeyError: nothing is there.
    """
    if isinstance(node, dict) and part in node:
        return part
    if isinstance(node, list) and part.isdigit() and int(part) < len(node):
        return int(part)
    raise KeyError(part)


def _list_keys(node: Any, prefix: str = "") -> Iterator[str]:
    for key, child in node.items() if isinstance(node, dict) else enumerate(node):
        if isinstance(child, dict | list):
            yield from _list_keys(child, f"{prefix}{key}.")
        yield f"{prefix}{key}"
