"""The data and the model's facts in the rows of the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.report.facts import RunFacts
from components.report.format_values import DASH, NARROW_SPACE, defined, format_count, format_number
from trainer.inference_config import InferenceConfig

_KEYS_THAT_STOP = {"time": "trainer.max_minutes", "no_improvement": "trainer.early_stopping_epochs"}
"""What ended a training before its last epoch, by ``stopped_by``."""


@dataclass(frozen=True)
class Frequency:
    """One class in one split."""

    share: float | None
    """Of the labelled pixels, 0 to 1."""
    bar: float
    """``share`` over the largest share of any class in any split, 0 to 1."""
    images: int


@dataclass(frozen=True)
class FrequencyRow:
    """One class in every split."""

    class_id: int
    splits: tuple[Frequency, ...]
    is_missing_in_train: bool


def describe_frequencies(facts: RunFacts) -> tuple[FrequencyRow, ...]:
    """Returns how often each class occurs in each split of ``facts.data``."""
    if not facts.data:
        return ()
    totals = [sum(split.class_pixels) for split in facts.data]
    shares = [
        [pixels / total if total else None for pixels in split.class_pixels]
        for split, total in zip(facts.data, totals, strict=True)
    ]
    largest = max((share or 0.0 for row in shares for share in row), default=0.0)
    rows = []
    for class_id in range(len(facts.classes)):
        splits = tuple(
            Frequency(
                row[class_id],
                (row[class_id] or 0.0) / largest if largest else 0.0,
                split.class_images[class_id],
            )
            for split, row in zip(facts.data, shares, strict=True)
        )
        missing = any(split.name == "train" and not split.class_pixels[class_id] for split in facts.data)
        rows.append(FrequencyRow(class_id, splits, missing))
    return tuple(rows)


def describe_model(facts: RunFacts) -> tuple[tuple[str, str], ...]:
    """Returns what is known of the model and its training, as pairs of label and value."""
    training = facts.training
    speed = defined(training.get("images_per_second"))
    memory = defined(training.get("peak_memory_bytes"))
    flops, served = defined(training.get("flops")), facts.verdict.images_per_second
    rows = (
        ("Network", _describe_network(facts.configuration)),
        ("Inference", _describe_inference(facts.configuration)),
        ("First weights", _describe_first_weights(training.get("first_weights"))),
        ("Parameters", format_count(defined(training.get("parameters")))),
        ("Arithmetic of an image", f"{flops / 1e9:.3g}{NARROW_SPACE}GFLOP" if flops else ""),
        ("Precision", _describe_precision(training.get("precision"))),
        ("Devices", _describe_devices(training.get("devices"))),
        ("Training", _describe_length(training)),
        ("Best epoch", format_count(defined(training.get("best_epoch")))),
        ("Same bits again", describe_determinism(training.get("deterministic"))),
        ("Training speed", f"{format_number(speed)} images/s" if speed else ""),
        ("Network's speed", f"{format_number(served)} images/s, one at a time on a CPU" if served else ""),
        ("Peak memory of the process", f"{memory / 1e9:.1f}{NARROW_SPACE}GB" if memory else ""),
    )
    return tuple((label, value) for label, value in rows if value and value != DASH)


def _describe_first_weights(first: Any) -> str:
    """Returns what the training started from, unless that was random."""
    if not isinstance(first, Mapping):
        return ""
    taken, fresh = format_count(first.get("taken")), len(first.get("fresh") or ())
    return f"{first.get('source')}: {taken} taken over, {format_count(fresh)} fresh"


def _describe_network(configuration: Mapping[str, Any]) -> str:
    model = (configuration.get("trainer") or {}).get("model") or {}
    size = configuration.get("transform") or {}
    name = " on ".join(str(model[key]) for key in ("head", "backbone") if key in model)
    if name and "height_px" in size and "width_px" in size:
        name += f", working size {size['height_px']} \N{MULTIPLICATION SIGN} {size['width_px']} px"
    return name


def _describe_inference(configuration: Mapping[str, Any]) -> str:
    section = configuration.get("inference")
    inference = InferenceConfig.model_validate(section) if section else InferenceConfig()
    return "" if inference.is_plain() else inference.describe()


def _describe_precision(precision: Any) -> str:
    if isinstance(precision, Mapping):
        policy, reason = precision.get("policy"), precision.get("reason")
        return f"{policy}: {reason}" if reason else str(policy or "")
    return str(precision or "")


def _describe_length(training: Mapping[str, Any]) -> str:
    """Returns how long the training was and what ended it."""
    steps, epochs = defined(training.get("steps")), defined(training.get("epochs"))
    parts = [
        f"{format_count(epochs)} epochs" if epochs else "",
        f"{format_count(steps)} steps" if steps else "",
    ]
    text = ", ".join(part for part in parts if part)
    if text and (key := _KEYS_THAT_STOP.get(str(training.get("stopped_by")))):
        text += f", ended by {key}"
    if step := defined(training.get("resumed_from_step")):
        text += f", resumed after step {format_count(step)}"
    elif resumed := defined(training.get("resumed_from_epoch")):
        text += f", resumed after epoch {format_count(resumed)}"
    return text


def describe_determinism(facts: Any) -> str:
    """Returns whether training again would give the same bits, and why."""
    if not isinstance(facts, Mapping):
        return ""
    return f"{'yes' if facts.get('bit_equal') else 'no'}: {facts.get('reason', '')}"


def _describe_devices(devices: Any) -> str:
    if isinstance(devices, list | tuple):
        return ", ".join(str(device) for device in devices)
    return str(devices) if devices is not None else ""
