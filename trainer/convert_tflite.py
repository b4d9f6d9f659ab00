"""TensorFlow Lite (LiteRT): converts a network, and runs what came of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.exported_network import INPUT_NAME, OUTPUT_NAME, ConversionError, ExportedNetwork, Pixels


def convert_to_tflite(network: ExportedNetwork, file: Path, float16_weights: bool = False) -> None:
    """Writes a network as a flat buffer: one image at a time, with TensorFlow Lite's own operations alone.

    Args:
        network: of an exported model.
        file: is written.
        float16_weights: halves the file; runtimes turn the weights back into float32, or compute in float16.

    Raises:
        ConversionError: this TensorFlow brings no converter, or the network has an operation of which
            TensorFlow Lite knows nothing.
    """
    # What the converter saves on its way: the function, and the variables that it reads.
    holder = tf.Module()
    holder.model = network.model
    function = network.compile().get_concrete_function()
    try:
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function], holder)
    except (AttributeError, ImportError):
        raise ConversionError(f"TensorFlow {tf.__version__} brings no TensorFlow Lite converter") from None
    if float16_weights:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    try:
        file.write_bytes(converter.convert())
    except Exception as error:  # The converter has an exception of its own, and raises others as well.
        raise ConversionError(shorten_error(error)) from error


def open_tflite(file: Path) -> Callable[[Pixels], Pixels]:
    """Returns the function of frames [1, height, width, 3] to logits that a file holds.

    Raises:
        ConversionError: it cannot be loaded, or is not of that signature.
    """
    try:
        interpreter = _find_interpreter()(model_path=str(file), num_threads=os.cpu_count())
        runner = interpreter.get_signature_runner()
    except (ValueError, RuntimeError) as error:
        raise ConversionError(shorten_error(error)) from error

    def predict(frames: Pixels) -> Pixels:
        return np.asarray(runner(**{INPUT_NAME: frames})[OUTPUT_NAME])

    return predict


def shorten_error(error: Exception) -> str:
    """Returns what matters of a converter's message, which may go on for pages."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line.rpartition("error:")[2] for line in lines if "error:" in line] or lines
    text = telling[0] if telling else type(error).__name__
    return " ".join(text.split())[:300]


def _find_interpreter() -> Any:
    """Returns LiteRT's interpreter where it is installed: TensorFlow's own is to go."""
    try:
        return import_module("ai_edge_litert.interpreter").Interpreter
    except ImportError:
        return tf.lite.Interpreter
