"""Which inference was built into an exported model: a small JSON file in the SavedModel's ``assets.extra``.

Imports no TensorFlow. ``assets.extra`` is what SavedModel leaves to its users: servers pass it over.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from trainer.inference_config import InferenceConfig

INFERENCE_FILE = "assets.extra/inference.json"


def read_inference(model_dir: str) -> InferenceConfig:
    """Returns what was built into a model; models of earlier releases have no file, and do one pass.

    Args:
        model_dir: the SavedModel's folder, on this machine.

    Raises:
        ValueError: the file is damaged.
    """
    path = Path(model_dir, INFERENCE_FILE)
    try:
        return InferenceConfig.model_validate_json(path.read_bytes(), strict=True)
    except FileNotFoundError:
        return InferenceConfig()
    except ValidationError as error:
        raise ValueError(f"{path} is damaged: {error.errors()[0]['msg']}") from None
