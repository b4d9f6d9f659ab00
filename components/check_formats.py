"""Whether a model can be pushed in the extra formats here. Imports none of their packages."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from typing import get_args

from components.config import ExtraFormat
from data.errors import Problem
from trainer.model_config import UNPOOLING_HEADS, HeadName

_PACKAGES: dict[ExtraFormat, tuple[str, ...]] = {"tflite": (), "onnx": ("tf2onnx", "onnx", "onnxruntime")}
"""TensorFlow brings TensorFlow Lite along."""


def find_unfit_formats(formats: Iterable[ExtraFormat], head: HeadName) -> list[Problem]:
    """Returns a problem if a format lacks operations of a head."""
    if head not in UNPOOLING_HEADS or "tflite" not in formats:
        return []
    what = f"names tflite, which cannot say where the maxima were that head {head} puts back"
    others = ", ".join(name for name in get_args(HeadName) if name not in UNPOOLING_HEADS)
    remedy = f"Take it out (onnx can), or take one of these as trainer.model.head: {others}"
    return [Problem("push.extra_formats", what, remedy, "unfit_format")]


def find_missing_packages(formats: Iterable[ExtraFormat]) -> list[Problem]:
    """Returns a problem for each format that could not be made here."""
    problems = []
    for name in formats:
        if missing := [package for package in _PACKAGES[name] if find_spec(package) is None]:
            what = f"names {name}, and this environment lacks {', '.join(missing)}"
            remedy = f"Run make setup, or pip install {' '.join(missing)}"
            problems.append(Problem("push.extra_formats", what, remedy, "missing_packages"))
    return problems
