"""Ingest on Beam, against what PIL and numpy read from the same files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing import test_pipeline
from apache_beam.testing.util import assert_that, equal_to
from PIL import Image

from data.collect_records import CollectRecords, read_records
from data.config import DataConfig
from data.encode_examples import EncodeExamples
from data.errors import Problem
from data.list_pairs import list_pairs
from data.measure_image import measure_image
from data.plan_shards import plan_shards
from data.read_pairs import HashPairs, PairDigest, ReadPlan, RefusedPair, write_plan

pytestmark = pytest.mark.slow

IN_PROCESS = ()
MULTI_PROCESS = ("--direct_num_workers=2", "--direct_running_mode=multi_processing")


def sha256(path: str | Path) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def ingest(config: DataConfig, uri: Path, options: tuple[str, ...] = IN_PROCESS, **limits: int):
    """Runs the plan, the encoding and the collection as the component does; returns records and counters."""
    plan = write_plan(plan_shards(list_pairs(config).pairs), str(uri / "scratch"))
    pipeline = beam.Pipeline(options=PipelineOptions(list(options)))
    encoded = pipeline | ReadPlan(plan) | EncodeExamples(config, str(uri), **limits)
    _ = encoded | CollectRecords(str(uri / "scratch"))
    result = pipeline.run()
    result.wait_until_finish()
    counters = {
        counter.key.metric.name: counter.result
        for counter in result.metrics().query()["counters"]
        if counter.key.metric.namespace == "deconvflow"
    }
    return sorted(read_records(str(uri / "scratch")), key=str), counters


def read_examples(path: Path) -> list[tf.train.Example]:
    records = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    return [tf.train.Example.FromString(record) for record in records]


def read_files(uri: Path) -> dict[str, bytes]:
    return {path.relative_to(uri).as_posix(): path.read_bytes() for path in uri.glob("Split-*/*")}


@pytest.fixture(scope="module")
def config(tmp_path_factory, write_pairs) -> DataConfig:
    return write_pairs(tmp_path_factory.mktemp("pairs"), {"train": 130, "val": 3})


@pytest.fixture(scope="module")
def ingested(config, tmp_path_factory):
    uri = tmp_path_factory.mktemp("examples")
    return uri, *ingest(config, uri)


def test_each_pair_becomes_one_example_with_the_facts_of_its_files(config, ingested):
    uri, _, _ = ingested
    (path,) = (uri / "Split-val").iterdir()
    examples = {e.features.feature["image/id"].bytes_list.value[0].decode(): e for e in read_examples(path)}
    assert sorted(examples) == ["val-000", "val-001", "val-002"]
    for image_id, example in examples.items():
        image_path = Path(config.root, "images/val", image_id + ".png")
        mask_path = Path(config.root, "masks/val", image_id + ".png")
        mask = np.asarray(Image.open(mask_path))
        expected = {
            "image/encoded": image_path.read_bytes(),
            "image/format": b"png",
            "image/id": image_id.encode(),
            "image/split": b"val",
            "image/sha256": sha256(image_path).encode(),
            "image/height_px": 12,
            "image/width_px": 16,
            "image/channels": 3,
            "image/bit_depth": 8,
            "image/mean": np.float32(np.asarray(Image.open(image_path), np.float64).mean()),
            "mask/encoded": mask_path.read_bytes(),
            "mask/sha256": sha256(mask_path).encode(),
            "mask/unknown_pixels": 0,
            "mask/void_share": np.float32((mask == 255).mean()),
            "mask/pixels/ground": int((mask == 0).sum()),
            "mask/pixels/road": int((mask == 1).sum()),
        }
        found = {}
        for key, feature in example.features.feature.items():
            values = feature.bytes_list.value or feature.int64_list.value or feature.float_list.value
            (found[key],) = values
        assert found == expected


def test_shards_are_the_planned_ones_in_the_planned_order(config, ingested):
    uri, _, _ = ingested
    planned = {
        f"Split-{shard.split}/data_tfrecord-{shard.number:05d}-of-{shard.count:05d}": [
            pair.image_id.encode() for pair in shard.pairs
        ]
        for shard in plan_shards(list_pairs(config).pairs)
    }
    assert len(planned) == 4
    found = {
        name: [e.features.feature["image/id"].bytes_list.value[0] for e in read_examples(uri / name)]
        for name in read_files(uri)
    }
    assert found == planned


def hash_of(pair):
    return measure_image(Image.open(pair.image_path))[1]


def test_digests_and_counters_say_what_was_written(config, ingested):
    _, records, counters = ingested
    expected = [
        PairDigest(pair.image_id, pair.split, sha256(pair.image_path), sha256(pair.mask_path), hash_of(pair))
        for pair in list_pairs(config).pairs
    ]
    assert len({digest.perceptual_hash for digest in expected}) == 133
    assert sorted(records) == sorted(expected)
    assert counters["pairs_read"] == 133
    assert (counters["examples_train"], counters["examples_val"]) == (130, 3)
    assert counters["example_bytes"] > sum(
        Path(p.image_path).stat().st_size for p in list_pairs(config).pairs
    )


def test_two_worker_processes_write_the_same_bytes(config, ingested, tmp_path):
    uri, records, counters = ingested
    others, their_counters = ingest(config, tmp_path, MULTI_PROCESS)
    assert others == records
    assert their_counters == counters
    assert read_files(tmp_path) == read_files(uri)


def test_a_shard_that_grows_too_large_goes_on_in_another_file(config, ingested, tmp_path):
    uri, _, _ = ingested
    ingest(config, tmp_path, max_file_bytes=20_000)
    files = read_files(tmp_path)
    assert len(files) > len(read_files(uri))
    assert all(len(content) < 20_000 + 1_000 for content in files.values())
    whole = read_examples(uri / "Split-train/data_tfrecord-00000-of-00003")
    names = sorted(name for name in files if "/data_tfrecord-00000-of-00003" in name)
    assert [example for name in names for example in read_examples(tmp_path / name)] == whole


def test_bad_pairs_come_out_tagged_and_sound_pairs_beside_them(write_pairs, tmp_path):
    config = write_pairs(tmp_path / "data", {"train": 3})
    broken = Path(config.root, "images/train/train-001.png")
    broken.write_bytes(broken.read_bytes()[:-20])
    small = Path(config.root, "masks/train/train-002.png")
    Image.fromarray(np.zeros((5, 16), np.uint8)).save(small)
    shards = plan_shards(list_pairs(config).pairs)
    with test_pipeline.TestPipeline() as pipeline:
        digests, refused = pipeline | beam.Create(shards) | EncodeExamples(config, str(tmp_path / "out"))
        where = refused | beam.FlatMap(lambda pair: [(one.where, one.code) for one in pair.problems])
        assert_that(where, equal_to([(str(broken), "truncated_image"), (str(small), "size_mismatch")]))
        ids = digests | beam.Map(lambda digest: digest.image_id)
        assert_that(ids, equal_to(["train-000"]), label="AssertIds")


def test_every_kind_of_record_survives_its_collection(tmp_path):
    digests = [PairDigest("ä\udcff", "train", "1", "2", "5" * 64), PairDigest("b", "val", "3", "4")]
    problem = Problem("/data/a.png", 'is "odd"\n', "Mend it", "odd")
    refused = [RefusedPair(digests[1], (problem, problem)), RefusedPair(digests[0], ())]
    with test_pipeline.TestPipeline() as pipeline:
        one = pipeline | "Digests" >> beam.Create(digests)
        other = pipeline | "Refused" >> beam.Create(refused)
        _ = (one, other) | CollectRecords(str(tmp_path))
    assert sorted(read_records(str(tmp_path)), key=repr) == sorted([*digests, *refused], key=repr)


def test_hashing_gives_the_digests_of_the_files(config):
    pairs = list_pairs(config).pairs
    expected = [PairDigest(p.image_id, p.split, sha256(p.image_path), sha256(p.mask_path)) for p in pairs]
    with test_pipeline.TestPipeline() as pipeline:
        assert_that(pipeline | beam.Create(plan_shards(pairs)) | HashPairs(), equal_to(expected))


def test_a_file_that_vanished_is_a_digest_of_its_own(write_pairs, tmp_path):
    config = write_pairs(tmp_path / "data", {"train": 1})
    (pair,) = list_pairs(config).pairs
    Path(pair.mask_path).unlink()
    with test_pipeline.TestPipeline() as pipeline:
        digests = pipeline | beam.Create(plan_shards([pair])) | HashPairs()
        assert_that(digests, equal_to([PairDigest("train-000", "train", "unreadable", "unreadable")]))
