"""The curated schema against statistics of good and of bad data, by TFDV itself."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.tfxio import tf_example_record

from data import features
from data.build_schema import add_gate_limits, build_schema, build_statistics_schema, write_schema
from data.config import ClassConfig, DataConfig
from data.encode_examples import encode_example
from data.examine_pair import PairFacts
from data.pairs import Pair

pytestmark = pytest.mark.slow

CONFIG = DataConfig(
    root="unused", classes=(ClassConfig(id=0, name="road"), ClassConfig(id=1, name="traffic light"))
)
LIGHTS = features.class_pixels_key("traffic light")


@pytest.fixture
def facts_table(sound_facts: Callable[[int], dict[str, object]]) -> Callable[..., pd.DataFrame]:
    def make(**columns: object) -> pd.DataFrame:
        pixels = {features.class_pixels_key("road"): list(range(40)), LIGHTS: list(range(40))}
        return pd.DataFrame(sound_facts(40) | pixels | columns)

    return make


def anomalous(schema: schema_pb2.Schema, table: pd.DataFrame) -> set[str]:
    anomalies = tfdv.validate_statistics(tfdv.generate_statistics_from_dataframe(table), schema)
    return {info.path.step[-1] for info in anomalies.anomaly_info.values()}


def test_sound_facts_have_no_anomaly(facts_table):
    assert anomalous(build_schema(CONFIG), facts_table()) == set()


@pytest.mark.parametrize(
    ("feature", "values"),
    [
        (features.IMAGE_FORMAT, ["png"] * 39 + ["gif"]),
        (features.IMAGE_SPLIT, ["train"] * 39 + ["eval"]),
        (features.IMAGE_HEIGHT_PX, [360] * 39 + [0]),
        (features.IMAGE_CHANNELS, [3] * 39 + [5]),
        (features.IMAGE_MEAN, np.r_[np.linspace(50, 200, 39), 255.5].astype(np.float32)),
        (features.IMAGE_MEAN, np.r_[np.linspace(50, 200, 39), np.nan].astype(np.float32)),
        (features.MASK_UNKNOWN_PIXELS, [0] * 39 + [1]),
        (features.MASK_VOID_SHARE, np.r_[np.linspace(0, 0.5, 39), 1.25].astype(np.float32)),
        (LIGHTS, [5] * 39 + [-1]),
        (LIGHTS, [5.5] * 40),
    ],
)
def test_one_bad_value_is_an_anomaly_of_its_feature(feature, values, facts_table):
    assert anomalous(build_schema(CONFIG), facts_table(**{feature: values})) == {feature}


def test_a_class_without_its_count_is_an_anomaly(facts_table):
    assert anomalous(build_schema(CONFIG), facts_table().drop(columns=[LIGHTS])) == {LIGHTS}


def test_the_void_limit_comes_with_the_gate_alone(facts_table):
    table = facts_table(**{features.MASK_VOID_SHARE: np.linspace(0, 0.9, 40).astype(np.float32)})
    schema = build_schema(CONFIG)
    assert anomalous(schema, table) == set()
    assert anomalous(add_gate_limits(schema, 0.9, None, None), table) == set()
    assert anomalous(add_gate_limits(schema, 0.89, None, None), table) == {features.MASK_VOID_SHARE}


def test_limits_set_comparators_of_the_facts_and_leave_the_schema_as_it_was():
    schema = build_schema(CONFIG, ["weather"])
    before = schema.SerializeToString(deterministic=True)
    limited = {feature.name: feature for feature in add_gate_limits(schema, 1.0, 0.25, None).feature}
    assert schema.SerializeToString(deterministic=True) == before
    assert limited[LIGHTS].skew_comparator.jensen_shannon_divergence.threshold == 0.25
    assert limited[features.attribute_key("weather")].skew_comparator.infinity_norm.threshold == 0.25
    assert not limited[LIGHTS].HasField("drift_comparator")
    assert not limited[features.IMAGE_SPLIT].HasField("skew_comparator")
    assert not limited[features.IMAGE_ENCODED].HasField("skew_comparator")


def test_statistics_are_of_every_fact_and_of_no_file(facts_table):
    names = {feature.name for feature in build_statistics_schema(CONFIG, ["weather"]).feature}
    assert names == {*facts_table().columns, features.attribute_key("weather")}


def test_an_example_of_ingest_parses_to_dense_scalars(tmp_path):
    pair = Pair("a", "train", "/a.png", "/m.png", (("weather", "rain"),))
    facts = PairFacts(pair, "5a", "5b", 36, 48, 3, 8, "png", 100.25, (7, 9), 0, 0.5, b"image", b"mask")
    path = str(tmp_path / "records")
    with tf.io.TFRecordWriter(path) as writer:
        writer.write(encode_example(facts, ("road", "traffic light")))
        writer.write(encode_example(facts, ("road", "traffic light")))
    tfxio = tf_example_record.TFExampleRecord(
        [path], schema=build_schema(CONFIG, ["weather"]), telemetry_descriptors=["test"]
    )
    adapter = tfxio.TensorAdapter()
    (batch,) = tfxio.RecordBatches(_batches_of(2))
    tensors = adapter.ToBatchTensors(batch)
    assert tensors[features.IMAGE_ENCODED].numpy().tolist() == [b"image", b"image"]
    assert tensors[features.MASK_ENCODED].numpy().tolist() == [b"mask", b"mask"]
    assert tensors[features.IMAGE_HEIGHT_PX].numpy().tolist() == [36, 36]
    assert tensors[features.IMAGE_MEAN].numpy().tolist() == [100.25, 100.25]
    assert tensors[LIGHTS].numpy().tolist() == [9, 9]
    assert tensors[features.attribute_key("weather")].numpy().tolist() == [b"rain", b"rain"]


def _batches_of(size: int):
    from tfx_bsl.tfxio import dataset_options

    return dataset_options.RecordBatchesOptions(batch_size=size, num_epochs=1)


def test_the_schema_file_is_named_by_its_content(tmp_path):
    schema = build_schema(CONFIG)
    path = write_schema(schema, tmp_path / "schemas")
    assert write_schema(build_schema(CONFIG), tmp_path / "schemas") == path
    assert text_format.Parse(path.read_text(), schema_pb2.Schema()) == schema
    other = write_schema(build_schema(CONFIG, ["weather"]), tmp_path / "schemas")
    assert sorted(tmp_path.glob("schemas/*")) == sorted([path, other])
