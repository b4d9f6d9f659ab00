"""ONNX: converts a network, and runs what came of it.

tf2onnx, onnx and ONNX Runtime are imported when they are called for.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from trainer.exported_network import INPUT_NAME, OUTPUT_NAME, ConversionError, ExportedNetwork, Pixels

OPSET = 17
"""Of ONNX 1.12 (2022): runtimes of years know it."""


def convert_to_onnx(network: ExportedNetwork, file: Path) -> None:
    """Writes a network as ONNX, one image at a time.

    For any number at once, tf2onnx would get the sizes of transposed convolutions wrong.

    Args:
        network: of an exported model.
        file: is written.

    Raises:
        ConversionError: packages are missing, or the network has an operation that ONNX cannot express.
    """
    try:
        import tf2onnx
    except ImportError as error:
        raise ConversionError(f"the package {error.name} is missing") from error
    try:
        model, _ = tf2onnx.convert.from_function(network.compile(), [network.spec], opset=OPSET)
        content = model.SerializeToString()
    except Exception as error:  # It raises whatever its rewriters run into.
        raise ConversionError(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}") from error
    file.write_bytes(content)


def open_onnx(file: Path) -> Callable[[Pixels], Pixels]:
    """Returns the function of frames [1, height, width, 3] to logits that a file holds.

    Raises:
        ConversionError: ONNX Runtime is missing, or does not load the file.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ConversionError(f"the package {error.name} is missing") from error
    try:
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    except Exception as error:  # Its exceptions have no public base.
        raise ConversionError(
            f"ONNX Runtime does not load it: {' '.join(str(error).split())[:300]}"
        ) from error

    def predict(frames: Pixels) -> Pixels:
        return np.asarray(session.run([OUTPUT_NAME], {INPUT_NAME: frames})[0])

    return predict
