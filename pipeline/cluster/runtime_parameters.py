"""What may be set anew for each run of a compiled pipeline: names, defaults, and which steps listen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from data.errors import Problem, RefusedError
from pipeline.config import PipelineConfig

ParameterType = Literal["NUMBER_INTEGER", "NUMBER_DOUBLE", "STRING"]

_READERS = {
    "data": ("DatasetSnapshot", "SegmentationExampleGen", "RunReport"),
    "trainer": ("Tuner", "Trainer", "RunReport"),
    "evaluation": ("Evaluator", "RunReport"),
    "data_gate": ("DataGate", "RunReport"),
}
"""By section of the configuration, the steps whose result follows from its runtime parameters.

Transform and Trainer hold the section data, too, but read no files there: a data set that moved is no
other data set to them.
"""
_TRAINER_KEYS = {
    "epochs": "Times that the training split is gone through",
    "max_minutes": "Training ends after so many minutes",
    "learning_rate": "The highest learning rate",
    "batch_size": "Images a step, over all devices",
    "seed": "Of everything random in training",
}
_DATA_GATE_KEYS = {
    "max_void_share": "No image may be void to a larger share",
    "max_split_skew": "Largest distance between the splits",
    "max_drift": "Largest distance from the served model's data",
}


@dataclass(frozen=True)
class RuntimeParameter:
    """One input of the whole pipeline.

    Attributes:
        name: as a submission names it (``trainer_epochs``).
        key: the configuration's key that it stands for (``trainer.epochs``).
        type: its type in the pipeline's specification.
        default: what was compiled; an empty text stands for a key that is not set.
        description: for people.
    """

    name: str
    key: str
    type: ParameterType
    default: int | float | str
    description: str

    @property
    def readers(self) -> tuple[str, ...]:
        """The steps that it goes to, where the pipeline has them."""
        return _READERS[self.key.partition(".")[0]]

    @property
    def placeholder(self) -> str:
        """What the launcher replaces by the value."""
        return f"{{{{$.inputs.parameters['{self.name}']}}}}"


def list_parameters(config: PipelineConfig) -> tuple[RuntimeParameter, ...]:
    """Returns the runtime parameters of a configuration, sorted by name.

    Raises:
        RefusedError: if two gates' metrics come to the same name.
    """
    found: dict[str, RuntimeParameter] = {}
    for parameter in _list_all(config):
        other = found.setdefault(parameter.name, parameter)
        if other is not parameter:
            what = f"and {other.key} both come to the runtime parameter {parameter.name}"
            raise RefusedError(
                [Problem(parameter.key, what, "Rename one of the classes", "config_bad_value")]
            )
    return tuple(found[name] for name in sorted(found))


def _list_all(config: PipelineConfig) -> Iterator[RuntimeParameter]:
    yield _build("data_root", "data.root", config.data.root, "Where images and masks are")
    for key, text in _TRAINER_KEYS.items():
        yield _build(f"trainer_{key}", f"trainer.{key}", getattr(config.trainer, key), text)
    for key, text in _DATA_GATE_KEYS.items():
        yield _build(f"data_gate_{key}", f"data_gate.{key}", getattr(config.data_gate, key), text)
    gates = config.evaluation.gates
    for metric, bound in gates.floors.items():
        if path := _gate_key("floors", metric):
            yield _build(_gate_name("floor", metric), path, bound, f"{metric} must be at least this")
    for metric, bound in gates.max_drop.items():
        if path := _gate_key("max_drop", metric):
            text = f"{metric} may be worse than the last pushed model's by no more"
            yield _build(_gate_name("max_drop", metric), path, bound, text)


def _build(name: str, key: str, value: Any, description: str) -> RuntimeParameter:
    if value is None:
        return RuntimeParameter(name, key, "STRING", "", f"{description}; empty for no bound")
    kinds: dict[type, ParameterType] = {int: "NUMBER_INTEGER", float: "NUMBER_DOUBLE", str: "STRING"}
    return RuntimeParameter(name, key, kinds[type(value)], value, description)


def _gate_key(kind: str, metric: str) -> str | None:
    """Returns a gate's key; None for a class whose name no dotted key can hold."""
    return f"evaluation.gates.{kind}.{metric}" if re.fullmatch(r"[\w/ -]+", metric) else None


def _gate_name(kind: str, metric: str) -> str:
    return f"gate_{kind}_" + re.sub(r"[^a-z0-9]+", "_", metric.lower()).strip("_")
