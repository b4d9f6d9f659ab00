"""TFX's entry: from arguments as TFX gives them to a SavedModel."""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from data.errors import RefusedError
from trainer import run_fn as run_fn_module
from trainer.checkpoints import name_training
from trainer.inference_config import InferenceConfig
from trainer.inference_file import read_inference
from trainer.run_fn import make_job, run_fn
from trainer.train import TrainingJob


@dataclass
class Arguments:
    train_files: list[str]
    eval_files: list[str]
    serving_model_dir: str
    model_run_dir: str
    custom_config: dict[str, Any]


@pytest.fixture
def arguments(make_job: Callable[..., TrainingJob], tmp_path: Path) -> Arguments:
    job = make_job(epochs=1)
    sections = {
        "data": job.data.model_dump(mode="json"),
        "transform": job.transform.model_dump(mode="json"),
        "augment": None,
        "trainer": job.trainer.model_dump(mode="json"),
        "inference": {"flip_horizontal": True},
    }
    return Arguments(
        train_files=list(job.train_patterns),
        eval_files=list(job.val_patterns),
        serving_model_dir=str(tmp_path / "model" / "Format-Serving"),
        model_run_dir=str(tmp_path / "model_run"),
        custom_config={
            "config": json.dumps(sections),
            "code_fingerprint": "abc",
            "checkpoint_root": str(tmp_path / "checkpoints"),
        },
    )


@pytest.mark.slow
def test_trains_exports_and_cleans_up(arguments: Arguments, tmp_path: Path) -> None:
    run_fn(arguments)
    loaded = tf.saved_model.load(arguments.serving_model_dir)
    served = {"serving_default", "image_tensor", "serve_examples"}
    further = {"evaluate", "serve_with_options", "prepare_images", "predict_tiles"}
    assert set(loaded.signatures) == served | further
    assert read_inference(arguments.serving_model_dir) == InferenceConfig(flip_horizontal=True)
    written = {path.name for path in Path(arguments.model_run_dir).iterdir()}
    assert {"history.jsonl", "training.json"} <= written
    assert not any(name.endswith(".unfinished") for name in written)
    # Kept until the model is recorded: without that, it is exported again and not trained again.
    (kept,) = (tmp_path / "checkpoints").iterdir()
    assert (kept / "exported").is_file()
    arguments.model_run_dir += "_again"
    run_fn(arguments)
    summary = json.loads(Path(arguments.model_run_dir, "training.json").read_text())
    assert (summary["resumed_from_epoch"], summary["epochs"]) == (1, 1)


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_network")
def test_failed_export_does_not_cost_the_training(
    arguments: Arguments, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(run_fn_module, "export_model", fail)
    with pytest.raises(OSError, match="disk full"):
        run_fn(arguments)
    exported: list[object] = []
    monkeypatch.setattr(run_fn_module, "export_model", lambda model, *_: exported.append(model))
    run_fn(arguments)
    assert len(exported) == 1
    assert json.loads(Path(arguments.model_run_dir, "training.json").read_text())["resumed_from_epoch"] == 1


def test_job_is_what_the_pipeline_handed_over(arguments: Arguments) -> None:
    job = make_job(arguments)
    assert job.trainer.epochs == 1 and job.augment is None
    assert [Path(file).name for file in job.train_patterns] == ["part.gz"]
    assert job.checkpoint_dir.startswith(arguments.custom_config["checkpoint_root"])
    assert job.log_dir == arguments.model_run_dir


def test_split_without_examples_is_no_validation(arguments: Arguments, tmp_path: Path) -> None:
    arguments.eval_files = [str(tmp_path / "nothing/*")]
    assert make_job(arguments).val_patterns == ()
    empty = tmp_path / "empty.gz"
    tf.io.TFRecordWriter(str(empty), "GZIP").close()
    arguments.eval_files = [str(empty)]
    assert make_job(arguments).val_patterns == ()


def test_without_a_validation_split_nothing_validates_on_train(arguments: Arguments) -> None:
    arguments.eval_files = arguments.train_files
    arguments.custom_config["validate"] = False
    assert make_job(arguments).val_patterns == ()


def test_no_training_examples_are_refused(arguments: Arguments, tmp_path: Path) -> None:
    arguments.train_files = [str(tmp_path / "nothing/*")]
    with pytest.raises(RefusedError, match="holds no transformed examples"):
        make_job(arguments)


def test_checkpoints_are_keyed_by_everything_that_counts(tmp_path: Path) -> None:
    record = tmp_path / "a" / "part.gz"
    moved = tmp_path / "b" / "part.gz"
    for path in (record, moved):
        path.parent.mkdir()
        path.write_bytes(b"records")
    name = name_training({"epochs": 1}, "code", [str(record)])
    assert name == name_training({"epochs": 1}, "code", [str(moved)])
    moved.write_bytes(b"recordt")
    others = {
        name_training({"epochs": 2}, "code", [str(record)]),
        name_training({"epochs": 1}, "edited", [str(record)]),
        name_training({"epochs": 1}, "code", [str(moved)]),
    }
    assert len(others | {name}) == 4


def test_entry_module_defines_functions_only() -> None:
    """TFX reloads it; a class would lose its identity."""
    tree = ast.parse(inspect.getsource(run_fn_module))
    kinds = {type(node) for node in tree.body}
    assert kinds <= {ast.Import, ast.ImportFrom, ast.FunctionDef, ast.Expr}
