"""Steps recorded in a real store, read back by what answers `runs`, `show` and `lineage`."""

from __future__ import annotations

import json

import pytest

from pipeline import tracking
from pipeline.connect_store import connect, open_store
from pipeline.store_address import StoreAddress

pytestmark = pytest.mark.slow

_BUCKET = "minio://bucket/demo"


@pytest.fixture
def store_file(tmp_path):
    return tmp_path / "metadata.sqlite"


@pytest.fixture
def record_step(store_file):
    """Records one step: its node, its inputs and outputs by key and URI."""
    from tfx.types import standard_artifacts

    from pipeline.cluster.find_component import build_execution_type
    from pipeline.cluster.record_step import StepPlace, StepRecord
    from pipeline.register_run import StoreHandle

    def make(uris):
        found = {}
        for key, uri in uris.items():
            found[key] = [standard_artifacts.Model()]
            found[key][0].uri = uri
        return found

    def record(run, node, inputs=None, outputs=None, configuration=None, fails=False, ends=True):
        address = StoreAddress("sqlite", path=store_file)
        open_store(address, create=True)
        with StoreHandle(connect(address)) as handle:
            step = StepRecord(handle, StepPlace("demo", run, node))
            step.describe_run(configuration)
            step.start(build_execution_type(_executor(node), None), make(inputs or {}), {"key": "value"})
            if fails:
                step.fail()
                step.put_summary({"status": "failed", "error": "why", "seconds": 1.0, "node": node})
            elif ends:
                step.finish(make(outputs or {}))

    return record


def _executor(name):
    return type(name, (), {"__module__": "demo"})


def _states(store_file, run):
    store = open_store(store_file)
    return [(one.id, one.state) for one in tracking.read_components(store, run)]


def test_a_run_is_what_its_steps_recorded(store_file, record_step):
    record_step("r1", "First", outputs={"model": f"{_BUCKET}/a"}, configuration='{"name": "demo"}')
    record_step("r1", "Second", inputs={"model": f"{_BUCKET}/a"}, outputs={"model": f"{_BUCKET}/b"})
    assert _states(store_file, "r1") == [("First", "complete"), ("Second", "complete")]
    store = open_store(store_file)
    run = tracking.read_run(store, "r1")
    assert (run.pipeline, run.status) == ("demo", "running")
    assert run.code_fingerprint and run.environment_fingerprint
    (first, second) = tracking.read_components(store, "r1")
    (made,) = tracking.read_output_artifacts(store, first.execution_id)["model"]
    events = store.get_events_by_execution_ids([second.execution_id])
    assert {(one.artifact_id, one.path.steps[0].key) for one in events} >= {(made.id, "model")}
    assert len(store.get_artifacts()) == 2


def test_what_the_backend_took_from_its_cache_is_recorded_by_who_reads_it(store_file, record_step):
    record_step("r1", "First", outputs={"model": f"{_BUCKET}/a"})
    record_step("r1", "Second", inputs={"model": f"{_BUCKET}/a"}, outputs={"model": f"{_BUCKET}/b"})
    for node in ("Third", "Fourth"):
        record_step("r2", node, inputs={"model": f"{_BUCKET}/b"}, outputs={"model": f"{_BUCKET}/{node}"})
    assert _states(store_file, "r2") == [
        ("First", "cached"),
        ("Second", "cached"),
        ("Third", "complete"),
        ("Fourth", "complete"),
    ]
    assert _states(store_file, "r1") == [("First", "complete"), ("Second", "complete")]
    assert len(open_store(store_file).get_artifacts()) == 4


def test_recording_what_was_reused_leaves_the_run_as_it_is_described(store_file, record_step):
    record_step("r1", "First", outputs={"model": f"{_BUCKET}/a"})
    described = json.dumps({"name": "demo", "trainer": {"epochs": 2}})
    record_step("r2", "Second", inputs={"model": f"{_BUCKET}/a"}, configuration=described)
    assert _states(store_file, "r2") == [("First", "cached"), ("Second", "complete")]
    run = tracking.read_run(open_store(store_file), "r2")
    assert run.configuration["trainer"] == {"epochs": 2}
    assert run.code_fingerprint and run.environment_fingerprint


def test_a_third_run_finds_what_the_second_reused(store_file, record_step):
    record_step("r1", "First", outputs={"model": f"{_BUCKET}/a"})
    for run in ("r2", "r3"):
        record_step(run, "Second", inputs={"model": f"{_BUCKET}/a"}, outputs={"model": f"{_BUCKET}/{run}"})
        assert _states(store_file, run) == [("First", "cached"), ("Second", "complete")]


def test_a_retry_takes_back_the_failure(store_file, record_step):
    record_step("r1", "First", outputs={"model": f"{_BUCKET}/a"})
    record_step("r1", "Second", inputs={"model": f"{_BUCKET}/a"}, fails=True)
    store = open_store(store_file)
    assert tracking.read_run(store, "r1").status == "failed"
    record_step("r1", "Second", inputs={"model": f"{_BUCKET}/a"}, outputs={"model": f"{_BUCKET}/b"})
    assert tracking.read_run(store, "r1").status == "running"
    assert _states(store_file, "r1") == [("First", "complete"), ("Second", "failed"), ("Second", "complete")]


def test_an_attempt_whose_pod_was_killed_counts_as_failed_from_the_next_one_on(store_file, record_step):
    record_step("r0", "Second", ends=False)
    record_step("r1", "First", ends=False)
    record_step("r1", "Second", ends=False)
    record_step("r1", "Second", outputs={"model": f"{_BUCKET}/b"})
    # Neither another step nor another run is this one's to judge.
    assert _states(store_file, "r1") == [
        ("First", "running"),
        ("Second", "failed"),
        ("Second", "complete"),
    ]
    assert _states(store_file, "r0") == [("Second", "running")]


def test_another_steps_failure_stands(store_file, record_step):
    record_step("r1", "Second", fails=True)
    record_step("r1", "First", outputs={"model": f"{_BUCKET}/a"})
    assert tracking.read_run(open_store(store_file), "r1").error == "why"


def test_an_artifact_whose_maker_left_no_record_is_recorded_alone(store_file, record_step):
    record_step("r1", "Second", inputs={"model": f"{_BUCKET}/lost"}, outputs={"model": f"{_BUCKET}/b"})
    store = open_store(store_file)
    assert [one.uri for one in store.get_artifacts()] == [f"{_BUCKET}/lost", f"{_BUCKET}/b"]
    assert _states(store_file, "r1") == [("Second", "complete")]


def test_values_that_came_through_the_backend_get_their_types_back():
    from google.protobuf import json_format, struct_pb2
    from kfp.pipeline_spec import pipeline_spec_pb2
    from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_entrypoint_utils

    from pipeline.cluster.record_step import copy_artifact

    runtime = pipeline_spec_pb2.RuntimeArtifact(uri="minio://b/m", name="7")
    runtime.type.schema_title = "tfx.Model"
    values = {"blessed": 0, "count": 3, "share": 0.5, "text": "a", "store_session_info": "{}"}
    json_format.ParseDict(values, runtime.metadata)
    listed = {"model": pipeline_spec_pb2.ArtifactList(artifacts=[runtime])}
    (artifact,) = kubeflow_v2_entrypoint_utils.parse_raw_artifact_dict(listed)["model"]
    assert isinstance(runtime.metadata, struct_pb2.Struct)
    copied = copy_artifact(artifact, "minio://b/copy").mlmd_artifact
    properties = copied.custom_properties
    assert properties["blessed"].int_value == 0 and properties["blessed"].HasField("int_value")
    assert properties["count"].int_value == 3
    assert properties["share"].double_value == 0.5
    assert properties["text"].string_value == "a"
    assert "store_session_info" not in properties
    assert (copied.uri, copied.id) == ("minio://b/copy", 0)


def test_the_configuration_of_a_run_stays_what_the_last_step_knew(store_file, record_step):
    record_step("r1", "First", configuration=json.dumps({"name": "demo", "trainer": {"epochs": 2}}))
    record_step("r1", "Second")
    run = tracking.read_run(open_store(store_file), "r1")
    assert run.configuration["trainer"] == {"epochs": 2}
