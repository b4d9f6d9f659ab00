"""The history, over a store written with MLMD's own API as TFX writes it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb

from data.errors import RefusedError
from pipeline import tracking


@pytest.fixture
def store(tmp_path: Path) -> MetadataStore:
    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = str(tmp_path / "metadata.sqlite")
    config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    return MetadataStore(config)


def _put_run(store: MetadataStore, run_id: str, **properties: str) -> int:
    type_id = store.put_context_type(pb.ContextType(name=tracking.RUN_CONTEXT_TYPE))
    context = pb.Context(type_id=type_id, name=run_id)
    for key, value in properties.items():
        context.custom_properties[key].string_value = value
    return store.put_contexts([context])[0]


def _put_execution(store: MetadataStore, run: int, node: str, state: int) -> int:
    node_type = store.put_context_type(pb.ContextType(name=tracking.NODE_CONTEXT_TYPE))
    name = f"digits.{node}"
    known = store.get_context_by_type_and_name(tracking.NODE_CONTEXT_TYPE, name)
    context = known.id if known else store.put_contexts([pb.Context(type_id=node_type, name=name)])[0]
    execution_type = store.put_execution_type(pb.ExecutionType(name=f"types.{node}"))
    (execution,) = store.put_executions([pb.Execution(type_id=execution_type, last_known_state=state)])
    store.put_attributions_and_associations(
        [], [pb.Association(context_id=c, execution_id=execution) for c in (run, context)]
    )
    return execution


def test_an_empty_store_has_no_runs(store):
    assert tracking.list_runs(store) == []


def test_runs_are_listed_in_the_order_of_their_start(store):
    for run_id in ("b", "a", "c"):
        _put_run(store, run_id)
        time.sleep(0.002)
    assert [record.run_id for record in tracking.list_runs(store)] == ["b", "a", "c"]


def test_a_summary_is_read_back(store):
    summary = {
        "status": "pushed",
        "seconds": 12.5,
        "blessed": True,
        "pushed_version": 3,
        "pushed_uri": "/x/serving/digits/3",
        "metrics": {"test": {"mean_iou": 0.75, "iou": {"background": 0.9}}},
        "a_key_of_a_later_version": 1,
    }
    _put_run(
        store,
        "r1",
        **{
            tracking.CONFIG_PROPERTY: json.dumps({"name": "digits"}),
            tracking.SUMMARY_PROPERTY: json.dumps(summary),
        },
    )
    record = tracking.read_run(store, "r1")
    assert (record.pipeline, record.status, record.pushed_version) == ("digits", "pushed", 3)
    assert record.metrics["test"]["iou"]["background"] == 0.9
    assert json.loads(json.dumps(record.to_json()))["seconds"] == 12.5


def test_a_run_of_a_living_process_is_running(store):
    _put_run(store, "r1", **{tracking.PROCESS_PROPERTY: tracking.describe_process()})
    assert tracking.read_run(store, "r1").status == "running"


@pytest.mark.parametrize("change", [{"pid": 2**22 - 3}, {"started": "1"}])
def test_a_run_of_a_dead_process_was_interrupted(store, change):
    process = json.loads(tracking.describe_process()) | change
    _put_run(store, "r1", **{tracking.PROCESS_PROPERTY: json.dumps(process)})
    assert tracking.read_run(store, "r1").status == "interrupted"


def test_a_run_on_another_host_is_running_until_it_was_silent_for_a_day(store, monkeypatch):
    process = json.loads(tracking.describe_process()) | {"host": "elsewhere.example"}
    _put_run(store, "r1", **{tracking.PROCESS_PROPERTY: json.dumps(process)})
    assert tracking.read_run(store, "r1").status == "running"
    now = time.time()
    monkeypatch.setattr(tracking.time, "time", lambda: now + 25 * 3600)
    assert tracking.read_run(store, "r1").status == "interrupted"


def test_components_have_the_names_of_their_nodes_and_their_states(store):
    run, other = _put_run(store, "r1"), _put_run(store, "r2")
    _put_execution(store, run, "Trainer", pb.Execution.COMPLETE)
    _put_execution(store, run, "Evaluator", pb.Execution.CACHED)
    _put_execution(store, other, "Trainer", pb.Execution.FAILED)
    components = tracking.read_components(store, "r1")
    assert [(component.id, component.state) for component in components] == [
        ("Trainer", "complete"),
        ("Evaluator", "cached"),
    ]
    assert all(component.seconds >= 0 for component in components)


def _put_named_execution(store: MetadataStore, run: int, node: str, class_name: str) -> None:
    node_type = store.put_context_type(pb.ContextType(name=tracking.NODE_CONTEXT_TYPE))
    (context,) = store.put_contexts([pb.Context(type_id=node_type, name=f"digits.{node}")])
    execution_type = store.put_execution_type(pb.ExecutionType(name=f"types.{class_name}"))
    (execution,) = store.put_executions(
        [pb.Execution(type_id=execution_type, last_known_state=pb.Execution.COMPLETE)]
    )
    store.put_attributions_and_associations(
        [], [pb.Association(context_id=c, execution_id=execution) for c in (run, context)]
    )


def test_two_components_of_one_class_are_told_apart(store):
    config = {tracking.CONFIG_PROPERTY: json.dumps({"name": "digits"})}
    run = _put_run(store, "r1", **config)
    _put_named_execution(store, run, "Trainer", "Trainer")
    _put_named_execution(store, run, "Evaluator.on_val", "Evaluator")
    _put_named_execution(store, run, "Evaluator.on_test", "Evaluator")
    assert [c.id for c in tracking.read_components(store, "r1")] == ["Trainer", "on_val", "on_test"]


def test_a_run_that_another_program_recorded_has_the_pipeline_of_its_parent(store):
    run = _put_run(store, "r1")
    own = _put_run(store, "r2", **{tracking.CONFIG_PROPERTY: json.dumps({"name": "digits"})})
    parent_type = store.put_context_type(pb.ContextType(name=tracking.PIPELINE_CONTEXT_TYPE))
    (parent,) = store.put_contexts([pb.Context(type_id=parent_type, name="taxi")])
    store.put_parent_contexts([pb.ParentContext(child_id=run, parent_id=parent)])
    assert own != run
    assert {record.run_id: record.pipeline for record in tracking.list_runs(store)} == {
        "r1": "taxi",
        "r2": "digits",
    }


def test_a_damaged_property_is_no_property(store):
    _put_run(store, "r1", **{tracking.CONFIG_PROPERTY: "{", tracking.SUMMARY_PROPERTY: "[1]"})
    record = tracking.read_run(store, "r1")
    assert (record.pipeline, record.status) == ("", "interrupted")


def test_the_configuration_is_kept_beside_the_record(store):
    _put_run(
        store, "r1", **{tracking.CONFIG_PROPERTY: json.dumps({"name": "digits", "trainer": {"epochs": 3}})}
    )
    record = tracking.read_run(store, "r1")
    assert record.configuration["trainer"] == {"epochs": 3}
    assert "configuration" not in record.to_json()


def test_outputs_of_an_execution_are_found_by_key(store):
    run = _put_run(store, "r1")
    execution = _put_execution(store, run, "Trainer", pb.Execution.COMPLETE)
    artifact_type = store.put_artifact_type(pb.ArtifactType(name="Model"))
    (artifact,) = store.put_artifacts([pb.Artifact(type_id=artifact_type, uri="/x/model")])
    event = pb.Event(artifact_id=artifact, execution_id=execution, type=pb.Event.OUTPUT)
    event.path.steps.add(key="model")
    event.path.steps.add(index=0)
    store.put_events([event])
    outputs = tracking.read_output_artifacts(store, execution)
    assert {key: [a.uri for a in values] for key, values in outputs.items()} == {"model": ["/x/model"]}


def test_an_unknown_run_is_refused(store):
    _put_run(store, "r1")
    with pytest.raises(RefusedError, match="run nope: does not exist"):
        tracking.read_run(store, "nope")


def test_a_workspace_without_runs_is_refused_with_a_remedy(tmp_path):
    with pytest.raises(RefusedError, match="--workspace"):
        tracking.open_store(tmp_path / "metadata.sqlite")


def test_a_file_that_is_no_store_is_refused(tmp_path):
    path = tmp_path / "metadata.sqlite"
    path.write_text("this is no database, " * 100)
    with pytest.raises(RefusedError, match="cannot be opened"):
        tracking.open_store(path)
