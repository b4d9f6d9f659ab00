"""The documents' JSON Schemas."""

from __future__ import annotations

import pytest

from pipeline.schemas import DOCUMENTS, schema_of


def _objects(schema):
    yield schema
    yield from (definition for definition in schema.get("$defs", {}).values() if "properties" in definition)


@pytest.mark.parametrize("command", sorted(DOCUMENTS))
def test_every_object_always_has_all_its_keys_and_no_other(command):
    for definition in _objects(schema_of(command)):
        assert definition["additionalProperties"] is False
        assert set(definition["required"]) == set(definition["properties"])


@pytest.mark.parametrize("command", sorted(DOCUMENTS))
def test_every_object_says_what_it_is(command):
    assert all(definition.get("description") for definition in _objects(schema_of(command)))


def test_keys_that_others_rely_on():
    run = schema_of("runs")["$defs"]["RunWithChanges"]["properties"]
    assert {"run_id", "status", "blessed", "pushed_uri", "report_uri", "metrics"} <= set(run)
    metrics = schema_of("runs")["$defs"]["SplitMetrics"]["properties"]
    assert set(metrics) == {
        "pixel_accuracy", "mean_class_accuracy", "mean_iou", "frequency_weighted_iou", "iou",
    }  # fmt: skip
    assert set(schema_of("show")["properties"]) >= {"run", "components", "evaluation", "data_gate", "notes"}
    assert set(schema_of("compare")["properties"]) >= {
        "configuration",
        "code",
        "data",
        "environment",
        "metrics",
    }
    assert set(schema_of("lineage")["properties"]) >= {"nodes", "edges", "images", "sightings"}
