"""Ingest with ``data.on_bad_example: quarantine``: what it writes, and what it refuses all the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tfx.types import standard_artifacts

from components.report.read_data import read_left_out
from components.segmentation_example_gen import SegmentationExampleGenExecutor
from data.config import DataConfig
from data.errors import RefusedError
from data.take_snapshot import fingerprint_dataset

pytestmark = pytest.mark.slow


@pytest.fixture
def config(write_pairs, tmp_path) -> DataConfig:
    """Six pairs, of which one has a mask with a value that no class has."""
    config = write_pairs(tmp_path / "data", {"train": 4, "val": 2})
    Image.fromarray(np.full((12, 16), 7, np.uint8)).save(Path(config.root, "masks/train/train-001.png"))
    return config.model_copy(update={"on_bad_example": "quarantine", "max_bad_share": 0.2})


@pytest.fixture
def ingest(tmp_path):
    """Runs ingest as its component does; ``fingerprint`` is what the snapshot has found."""

    def run(config: DataConfig, fingerprint: str | None = None) -> standard_artifacts.Examples:
        examples = standard_artifacts.Examples()
        examples.uri = str(tmp_path / f"examples-{len(list(tmp_path.iterdir()))}")
        Path(examples.uri).mkdir()
        properties = {"data_config": config.model_dump_json()}
        properties["fingerprint"] = fingerprint or fingerprint_dataset(config)
        SegmentationExampleGenExecutor().Do({}, {"examples": [examples]}, properties)
        return examples

    return run


def read_ids(examples: standard_artifacts.Examples) -> list[str]:
    files = [str(path) for path in Path(examples.uri).glob("Split-*/*")]
    records = tf.data.TFRecordDataset(files).as_numpy_iterator()
    parsed = map(tf.train.Example.FromString, records)
    return sorted(one.features.feature["image/id"].bytes_list.value[0].decode() for one in parsed)


def test_bad_pairs_are_left_out_listed_and_taken_in_again_once_they_are_mended(config, ingest):
    examples = ingest(config)
    ids = [*(f"train-{index:03d}" for index in (0, 2, 3)), "val-000", "val-001"]
    assert read_ids(examples) == ids
    assert examples.get_int_custom_property("examples_train") == 3
    assert examples.get_int_custom_property("quarantined") == 1
    document = json.loads(Path(examples.uri, "quarantine.json").read_text())
    assert (document["bad"], document["sound"], document["max_bad_share"]) == (1, 5, 0.2)
    (row,) = document["left_out"]
    mask = Path(config.root, "masks/train/train-001.png")
    assert (row["where"], row["code"], row["image_id"]) == (str(mask), "unknown_class_id", "train-001")
    assert "7 (192 pixels)" in row["what"] and row["remedy"]
    (file,) = read_left_out(examples.uri).files
    assert (file.file, file.reason) == (str(mask), row["what"])
    before = fingerprint_dataset(config)
    Image.fromarray(np.zeros((12, 16), np.uint8)).save(mask)
    # What the cache goes by: another content, another execution.
    assert fingerprint_dataset(config) != before
    mended = ingest(config)
    assert read_ids(mended) == sorted([*ids, "train-001"])
    assert mended.get_int_custom_property("quarantined") == 0
    assert json.loads(Path(mended.uri, "quarantine.json").read_text())["left_out"] == []


@pytest.mark.parametrize(
    "name", ["masks/train/train-001.png", "images/train/train-002.png"], ids=["bad", "sound"]
)
def test_a_file_that_changes_between_snapshot_and_ingest_refuses_the_data(config, ingest, name, tmp_path):
    before = fingerprint_dataset(config)
    Path(config.root, name).write_bytes(b"still being written")
    with pytest.raises(RefusedError, match="changed while it was read") as refused:
        ingest(config.model_copy(update={"max_bad_share": 0.5}), before)
    (problem,) = refused.value.problems
    assert f"what changed last is {config.root}" in problem.what
    assert not list(tmp_path.glob("examples-*/*"))


def test_more_than_the_bound_is_refused_and_nothing_is_left(config, ingest, tmp_path):
    with pytest.raises(RefusedError) as refused:
        ingest(config.model_copy(update={"max_bad_share": 0.1}))
    assert [problem.code for problem in refused.value.problems] == ["unknown_class_id", "too_many_bad"]
    assert "1 of 6 examples are bad (16.67%)" in refused.value.problems[1].what
    assert not list(tmp_path.glob("examples-*/*"))
