"""The curated schema of raw examples: what every feature must look like, from the class table.

The encoded files, ids and digests have no presence constraint, only a dense tensor representation:
so Transform and the Evaluator parse them as dense strings, while StatisticsGen may leave them out
(it would otherwise compute the statistics of megabytes of PNG) and ExampleValidator misses nothing.
Ingest itself guarantees that they are there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from data import features
from data.assign_splits import SPLIT_NAMES
from data.config import DataConfig
from data.replace_file import replace_file

_OPAQUE = (
    features.IMAGE_ENCODED,
    features.IMAGE_ID,
    features.IMAGE_SHA256,
    features.MASK_ENCODED,
    features.MASK_SHA256,
)
_MAX_SIDE_PX = 1_000_000
_MAX_MEAN = 255.0

# What differs between splits by design, or is held to a single value, is no measure of drift.
_NOT_COMPARED = frozenset({features.IMAGE_SPLIT, features.MASK_UNKNOWN_PIXELS})


def build_schema(config: DataConfig, attributes: Iterable[str] = ()) -> schema_pb2.Schema:
    """Returns the schema of the raw examples of a data set.

    It follows from the configuration of the data alone: the gate's limits come on top with
    ``add_gate_limits``, so that a changed limit invalidates the gate and not the trained model.

    Args:
        config: the data set's class table.
        attributes: names of the image-level attributes.
    """
    schema = build_statistics_schema(config, attributes)
    for feature in schema.feature:
        if not feature.name.startswith(features.attribute_key("")):
            _require_one_value(feature)
            _set_domain(feature)
    for name in _OPAQUE:
        schema.feature.add(name=name, type=schema_pb2.BYTES)
    # One representation given means that none is inferred: so all are given.
    representations = schema.tensor_representation_group[""].tensor_representation
    for feature in schema.feature:
        representations[feature.name].dense_tensor.column_name = feature.name
        representations[feature.name].dense_tensor.shape.SetInParent()
    return schema


def build_statistics_schema(config: DataConfig, attributes: Iterable[str] = ()) -> schema_pb2.Schema:
    """Returns names and types of the features that statistics are computed of: facts, no encoded bytes."""
    schema = schema_pb2.Schema()
    for name in (features.IMAGE_FORMAT, features.IMAGE_SPLIT):
        schema.feature.add(name=name, type=schema_pb2.BYTES)
    for name in (
        features.IMAGE_HEIGHT_PX,
        features.IMAGE_WIDTH_PX,
        features.IMAGE_CHANNELS,
        features.IMAGE_BIT_DEPTH,
        features.MASK_UNKNOWN_PIXELS,
        *(features.class_pixels_key(entry.name) for entry in config.classes),
    ):
        schema.feature.add(name=name, type=schema_pb2.INT)
    for name in (features.IMAGE_MEAN, features.MASK_VOID_SHARE):
        schema.feature.add(name=name, type=schema_pb2.FLOAT)
    for attribute in sorted(attributes):
        schema.feature.add(name=features.attribute_key(attribute), type=schema_pb2.BYTES)
    return schema


def add_gate_limits(
    schema: schema_pb2.Schema,
    max_void_share: float,
    max_split_skew: float | None,
    max_drift: float | None,
) -> schema_pb2.Schema:
    """Returns a copy of a schema with the gate's limits.

    Args:
        schema: from ``build_schema``.
        max_void_share: no image may be void to a larger share.
        max_split_skew: largest distance between two splits (skew comparator); None for no comparison.
        max_drift: largest distance to the served model's data (drift comparator); None for none.
            Distances are Jensen-Shannon divergences in bits for numbers, L-infinity for strings.
    """
    limited = schema_pb2.Schema()
    limited.CopyFrom(schema)
    for feature in limited.feature:
        if feature.name == features.MASK_VOID_SHARE:
            feature.float_domain.max = max_void_share
        if feature.name in _OPAQUE or feature.name in _NOT_COMPARED:
            continue
        for threshold, comparator in (
            (max_split_skew, feature.skew_comparator),
            (max_drift, feature.drift_comparator),
        ):
            if threshold is None:
                continue
            if feature.type == schema_pb2.BYTES:
                comparator.infinity_norm.threshold = threshold
            else:
                comparator.jensen_shannon_divergence.threshold = threshold
    return limited


def write_schema(schema: schema_pb2.Schema, folder: Path) -> Path:
    """Writes a schema to ``schema-<hash of its content>.pbtxt``, whole or not at all.

    A path that follows the content lets a cache that goes by the path (ImportSchemaGen) tell the truth.
    """
    content = text_format.MessageToString(schema).encode()
    path = folder / f"schema-{hashlib.sha256(content).hexdigest()[:16]}.pbtxt"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(path, content)
    return path


def _require_one_value(feature: schema_pb2.Feature) -> None:
    feature.presence.min_fraction = 1
    feature.presence.min_count = 1
    feature.shape.SetInParent()


def _set_domain(feature: schema_pb2.Feature) -> None:
    """Sets the values that a fact may have."""
    if feature.name == features.IMAGE_FORMAT:
        feature.string_domain.value.extend(["png", "jpeg"])
    elif feature.name == features.IMAGE_SPLIT:
        feature.string_domain.value.extend(SPLIT_NAMES)
    elif feature.name == features.IMAGE_MEAN:
        _limit(feature.float_domain, 0.0, _MAX_MEAN)
    elif feature.name == features.MASK_VOID_SHARE:
        _limit(feature.float_domain, 0.0, 1.0)
    else:
        lowest, highest = _INT_RANGES.get(feature.name, (0, _MAX_SIDE_PX**2))
        feature.int_domain.min = lowest
        feature.int_domain.max = highest


_INT_RANGES = {
    features.IMAGE_HEIGHT_PX: (1, _MAX_SIDE_PX),
    features.IMAGE_WIDTH_PX: (1, _MAX_SIDE_PX),
    features.IMAGE_CHANNELS: (1, 4),
    features.IMAGE_BIT_DEPTH: (8, 16),
    features.MASK_UNKNOWN_PIXELS: (0, 0),
}


def _limit(domain: schema_pb2.FloatDomain, lowest: float, highest: float) -> None:
    domain.min = lowest
    domain.max = highest
    domain.disallow_nan = True
    domain.disallow_inf = True
