"""TFX's Tuner with our search, run by TFX itself."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from data import features
from trainer.config import TrainerConfig
from trainer.tuner_config import SpaceEntry, TunerConfig

pytestmark = pytest.mark.slow
SPLITS = ("train", "val")


def _png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def _write_examples(root: Path) -> None:
    """Writes four transformed examples of 16x16 pixels a split: the right half is bright and class 1."""
    random = np.random.default_rng(0)
    mask = np.zeros((16, 16), np.uint8)
    mask[:, 8:] = 1
    floats = {
        features.CHANNEL_MEAN: [100.0] * 3,
        features.CHANNEL_STD: [60.0] * 3,
        features.CLASS_PIXELS: [128.0] * 2,
        features.CLASS_IMAGE_PIXELS: [256.0] * 2,
    }
    for split in SPLITS:
        folder = root / f"Split-{split}"
        folder.mkdir(parents=True)
        with tf.io.TFRecordWriter(str(folder / "examples.gz"), "GZIP") as writer:
            for _ in range(4):
                image = (mask[..., None] * 150 + random.integers(0, 60, (16, 16, 3))).astype(np.uint8)
                values = {
                    key: tf.train.Feature(float_list=tf.train.FloatList(value=value))
                    for key, value in floats.items()
                }
                for key, pixels in ((features.IMAGE_PNG, image), (features.MASK_PNG, mask)):
                    values[key] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[_png(pixels)]))
                example = tf.train.Example(features=tf.train.Features(feature=values))
                writer.write(example.SerializeToString())


def _custom_config(root: Path) -> dict[str, Any]:
    trainer = TrainerConfig(model={"width": 4}, batch_size=2, epochs=1, precision="float32", devices=1)  # type: ignore[arg-type]
    sections = {
        "data": {"root": "unused", "classes": [{"id": 0, "name": "ground"}, {"id": 1, "name": "box"}]},
        "transform": {"height_px": 16, "width_px": 16},
        "augment": None,
        "trainer": trainer.model_dump(mode="json"),
    }
    space = {"trainer.learning_rate": SpaceEntry(choice=(1e-7, 0.02))}
    return {
        "config": json.dumps(sections),
        "tuner": TunerConfig(space=space, max_trials=2, epochs=8).model_dump_json(),
        "code_fingerprint": "abc",
        "checkpoint_root": str(root / "checkpoints"),
    }


def test_two_trials_are_run_by_tfx_and_the_better_one_is_handed_on(tmp_path):
    from tfx import v1 as tfx

    from components.tuner import Tuner

    _write_examples(tmp_path / "examples")
    examples = tfx.dsl.Importer(
        source_uri=str(tmp_path / "examples"),
        artifact_type=tfx.types.standard_artifacts.Examples,
        properties={"split_names": json.dumps(SPLITS)},
    ).with_id("examples")
    tuner = Tuner(
        examples=examples.outputs["result"],
        tuner_fn="trainer.tuner_fn.tuner_fn",
        train_args=tfx.proto.TrainArgs(splits=["train"]),
        eval_args=tfx.proto.EvalArgs(splits=["val"]),
        custom_config=_custom_config(tmp_path),
    )
    pipeline = tfx.dsl.Pipeline(
        pipeline_name="tuning",
        pipeline_root=str(tmp_path / "root"),
        components=[examples, tuner],
        metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
            str(tmp_path / "metadata.sqlite")
        ),
    )
    tfx.orchestration.LocalDagRunner().run(pipeline)

    (results,) = (tmp_path / "root/Tuner/tuner_results").glob("*/trials.json")
    document = json.loads(results.read_text())
    trials = {trial["values"]["trainer.learning_rate"]: trial for trial in document["trials"]}
    assert {trial["epochs"] for trial in trials.values()} == {8}
    assert all(trial["seconds"] > 0 for trial in trials.values())
    # Steps of 1e-7 leave the random weights as they are.
    assert trials[0.02]["score"] > trials[1e-7]["score"]
    assert document["best"] == trials[0.02]["id"]
    (of_tfx, _) = json.loads((results.parent / "tuner_results.json").read_text())
    assert (of_tfx["score"], of_tfx["trainer.learning_rate"]) == (trials[0.02]["score"], 0.02)
    (best,) = (tmp_path / "root/Tuner/best_hyperparameters").glob("*/*")
    assert json.loads(best.read_text())["values"] == {"trainer.learning_rate": 0.02}
    kept = [path.name for path in (tmp_path / "checkpoints").rglob("*") if path.is_file()]
    assert kept == ["result.json", "result.json"]
