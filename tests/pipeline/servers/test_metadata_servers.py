"""Runs recorded on real servers by TFX's own launcher, and read back by the commands."""

from __future__ import annotations

import json
import logging
import socket
import threading
from concurrent import futures
from pathlib import Path
from types import SimpleNamespace

import grpc
import pytest
from ml_metadata import errors
from ml_metadata.metadata_store import ListOptions, OrderByField
from ml_metadata.proto import metadata_store_pb2 as pb

from data.build_schema import build_schema, write_schema
from data.errors import RefusedError
from pipeline import tracking
from pipeline.config import validate_config
from pipeline.connect_store import connect, open_store
from pipeline.probe_server import probe_server
from pipeline.schemas import DOCUMENTS
from pipeline.store_address import find_store, parse_address, remember_store
from pipeline.workspace import Workspace

pytestmark = pytest.mark.slow

# What texts of runs have in them, and more of it than PostgreSQL's index takes.
ERROR = """C:\\new 'quoted' "twice" \u20ac %s; --""" + "".join(chr(33 + i * 7919 % 90) for i in range(9000))
SERVERS = ["mariadb", "postgresql", "metadata_service"]


@pytest.fixture(params=SERVERS)
def server(request, monkeypatch):
    found = request.getfixturevalue(request.param)
    monkeypatch.delenv("DECONVFLOW_METADATA_STORE", raising=False)
    monkeypatch.delenv("DECONVFLOW_METADATA_PASSWORD_FILE", raising=False)
    monkeypatch.setenv("DECONVFLOW_METADATA_PASSWORD", found.password)
    return found


def _two_components(config, workspace):
    """Returns a pipeline of our snapshot and TFX's importer of a schema, in place of the whole one."""
    from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen
    from tfx.orchestration.pipeline import Pipeline

    from components.dataset_snapshot import DatasetSnapshot
    from pipeline.connect_store import describe_connection

    schema_file = write_schema(build_schema(config.data), workspace.schema_folder(config.name))
    return Pipeline(
        pipeline_name=config.name,
        pipeline_root=str(workspace.pipeline_root(config.name)),
        components=[
            DatasetSnapshot(data_config=config.data.model_dump_json()),
            ImportSchemaGen(schema_file=str(schema_file)),
        ],
        enable_cache=True,
        metadata_connection_config=describe_connection(find_store(workspace, config.metadata.store)),
    )


@pytest.fixture
def recorded(server, tmp_path, write_pairs, tree, monkeypatch):
    """Two runs of two components; the store is the configuration's."""
    from pipeline import execute_dag

    monkeypatch.setattr(execute_dag, "create_pipeline", _two_components)
    data = write_pairs(tmp_path / "data", {"train": 3, "val": 1}).model_dump(mode="json")
    config = validate_config(tree | {"name": "small", "data": data, "metadata": {"store": server.address}})
    workspace = Workspace(tmp_path / "workspace")
    workspace.root.mkdir()
    address = find_store(workspace, config.metadata.store)
    store = open_store(address, create=True)
    earlier = [run.run_id for run in tracking.list_runs(store)]
    runs = [f"run-{len(earlier) + 1}", f"run-{len(earlier) + 2}"]
    for run_id in runs:
        execute_dag.register_run(config, connect(address), run_id)
        execute_dag.execute(config, workspace, connect(address), run_id)
        values = {"status": "failed", "seconds": 1.0, "error": ERROR}
        summary = {tracking.SUMMARY_PROPERTY: json.dumps(values)}
        tracking.put_run_properties(store, run_id, summary)
    remember_store(workspace, address)
    return SimpleNamespace(
        workspace=workspace, config=config, runs=runs, store=store, compiled=execute_dag.compile_dag
    )


def test_runs_are_recorded_and_explained_without_a_trace_of_the_password(recorded, server, call, caplog):
    at = ("--workspace", recorded.workspace.root, "--json")
    done = call("runs", *at)
    assert (done.status, done.err) == (0, "")
    document = json.loads(done.out)
    DOCUMENTS["runs"].model_validate(document)
    assert [run["run_id"] for run in document["runs"]] == recorded.runs
    assert [run["error"] for run in document["runs"]] == [ERROR, ERROR]
    done = call("show", "latest", *at)
    assert (done.status, done.err) == (0, "")
    components = json.loads(done.out)["components"]
    assert [(one["id"], one["state"], one["reused_from"]) for one in components] == [
        ("DatasetSnapshot", "cached", recorded.runs[0]),
        ("ImportSchemaGen", "cached", recorded.runs[0]),
    ]
    done = call("lineage", "train-002", *at)
    assert (done.status, done.err) == (0, "")
    assert [row["run_id"] for row in json.loads(done.out)["sightings"]] == recorded.runs
    _assert_no_password(recorded, server.password, caplog)


def _assert_no_password(recorded, password, caplog):
    if not password:
        return
    words = [word for word in password.split() if len(word) > 3]
    kept = [
        *recorded.store.get_contexts(),
        *recorded.store.get_executions(),
        *recorded.store.get_artifacts(),
        recorded.compiled(recorded.config, recorded.workspace, "another"),
    ]
    texts = [str(message) for message in kept] + [record.getMessage() for record in caplog.records]
    texts += [
        path.read_text(errors="replace") for path in recorded.workspace.root.rglob("*") if path.is_file()
    ]
    assert any("team@" in text for text in texts)
    for text in texts:
        assert not any(word in text for word in words)


@pytest.fixture(autouse=True)
def all_messages(caplog):
    caplog.set_level(logging.INFO)


def test_the_store_is_found_by_option_environment_and_memory(recorded, server, call, tmp_path, monkeypatch):
    nowhere = ("--workspace", tmp_path / "nowhere")
    assert "does not exist: no run was recorded" in call("runs", *nowhere).err
    assert recorded.runs[0] in call("runs", *nowhere, "--store", server.address).out
    monkeypatch.setenv("DECONVFLOW_METADATA_STORE", server.address)
    assert recorded.runs[0] in call("runs", *nowhere).out


def test_histories_of_several_pipelines_are_kept_apart(recorded, server, call):
    other = {"name": "other"}
    from pipeline import execute_dag

    config = recorded.config.model_copy(update=other)
    execute_dag.register_run(config, connect(find_store(recorded.workspace)), f"{recorded.runs[0]}-other")
    at = ("--workspace", recorded.workspace.root, "--json", "--pipeline", "other")
    runs = [run["run_id"] for run in json.loads(call("runs", *at).out)["runs"]]
    assert f"{recorded.runs[0]}-other" in runs and not set(recorded.runs) & set(runs)


def test_artifacts_come_in_the_order_of_their_ids_also_when_one_was_changed(server):
    # TFX's cache pairs outputs with their keys by this order.
    store = open_store(parse_address(server.address, "here"), create=True)
    kind = store.put_artifact_type(pb.ArtifactType(name="ordered"))
    ids = store.put_artifacts([pb.Artifact(type_id=kind, uri=f"/{number}") for number in range(5)])
    for number in (3, 0):
        store.put_artifacts(
            [pb.Artifact(id=ids[number], type_id=kind, uri="/changed", state=pb.Artifact.LIVE)]
        )
    assert [artifact.id for artifact in store.get_artifacts_by_id(ids)] == ids
    assert [artifact.id for artifact in store.get_artifacts_by_type("ordered")] == ids
    newest = ListOptions(limit=2, order_by=OrderByField.ID, is_asc=False)
    assert [artifact.id for artifact in store.get_artifacts(newest)] == ids[:-3:-1]


def test_steps_that_write_at_the_same_time_leave_each_others_words_alone(server):
    address = parse_address(server.address, "here")
    store = open_store(address, create=True)
    kind = store.put_context_type(pb.ContextType(name=tracking.RUN_CONTEXT_TYPE))
    store.put_contexts([pb.Context(type_id=kind, name="together")])
    texts = {f"step {number}": str(number) * 5000 for number in range(6)}

    def write(key, text):
        own = open_store(address)
        for round_number in range(5):
            for _ in range(20):  # As steps do, whom a busy database sends away.
                try:
                    tracking.put_run_properties(own, "together", {key: text[round_number:]})
                    break
                except errors.AbortedError:
                    continue

    with futures.ThreadPoolExecutor(len(texts)) as pool:
        list(pool.map(write, texts, texts.values()))
    properties = tracking.find_run(store, "together").custom_properties
    assert {key: value.string_value for key, value in properties.items()} == {
        key: text[4:] for key, text in texts.items()
    }


@pytest.mark.parametrize("name", ["mariadb", "postgresql"])
def test_a_wrong_password_is_refused_with_a_sentence(name, request, monkeypatch, call, tmp_path):
    found = request.getfixturevalue(name)
    monkeypatch.setenv("DECONVFLOW_METADATA_PASSWORD", "not this one")
    done = call("runs", "--store", found.address)
    assert done.status == 2
    (line,) = done.err.splitlines()
    assert "answers, but does not let team into runs" in line
    assert "DECONVFLOW_METADATA_PASSWORD" in line
    assert "not this one" not in line
    done = call("run", "--store", found.address, "--workspace", tmp_path / "workspace")
    assert (done.status, (tmp_path / "workspace").exists()) == (2, False)


@pytest.mark.parametrize("name", ["mariadb", "postgresql"])
def test_asking_makes_no_database_and_recording_does(name, request, monkeypatch):
    found = request.getfixturevalue(name)
    monkeypatch.setenv("DECONVFLOW_METADATA_PASSWORD", found.password)
    address = parse_address(found.address.replace("/runs", "/elsewhere"), "here")
    with pytest.raises(RefusedError, match="does not let team into elsewhere"):
        open_store(address)
    assert tracking.list_runs(open_store(address, create=True)) == []
    assert tracking.list_runs(open_store(address)) == []


@pytest.mark.parametrize("scheme", ["mysql", "postgresql", "grpc"])
def test_no_server_is_a_sentence_and_starts_nothing(scheme, call, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]  # Bound, and nobody listens.
        path = "" if scheme == "grpc" else "/runs"
        user = "" if scheme == "grpc" else "team@"
        address = f"{scheme}://{user}127.0.0.1:{port}{path}"
        if scheme == "grpc":
            with pytest.raises(RefusedError, match=r"no metadata service answers within 0\.2 s"):
                probe_server(parse_address(address, "here"), 0.2)
            return
        done = call("run", "--store", address, "--workspace", tmp_path / "workspace", "--json")
    assert done.status == 2
    assert f"{address}: cannot be reached (Connection refused)" in done.err
    assert json.loads(done.out)["problems"][0]["code"] == "store_unreachable"
    assert not (tmp_path / "workspace").exists()


@pytest.mark.parametrize("scheme", ["mysql", "postgresql", "grpc"])
def test_a_server_that_says_nothing_is_given_up(scheme):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        path = "" if scheme == "grpc" else "/runs"
        user = "" if scheme == "grpc" else "team@"
        address = parse_address(f"{scheme}://{user}127.0.0.1:{silent.getsockname()[1]}{path}", "here")
        with pytest.raises(RefusedError, match=r"answers? within 0\.2 s"):
            probe_server(address, 0.2)


@pytest.mark.parametrize("scheme", ["mysql", "postgresql"])
def test_a_server_of_another_kind_is_told_apart(scheme):
    def answer(listening):
        connection, _ = listening.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 400 no\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=answer, args=(listening,), daemon=True).start()
        address = parse_address(f"{scheme}://team@127.0.0.1:{listening.getsockname()[1]}/runs", "here")
        with pytest.raises(RefusedError, match="answers, but not as"):
            probe_server(address, 5)


def test_a_service_that_is_no_metadata_service_is_refused(tmp_path):
    other = grpc.server(futures.ThreadPoolExecutor(1))
    port = other.add_insecure_port("127.0.0.1:0")
    other.start()
    try:
        with pytest.raises(RefusedError, match="answers, but not as a metadata service does"):
            open_store(parse_address(f"grpc://127.0.0.1:{port}", "here"))
    finally:
        other.stop(None)


def test_a_sqlite_file_elsewhere_is_made_by_a_run_only(tmp_path):
    address = parse_address(f"sqlite:///{tmp_path}/runs.sqlite", "here")
    with pytest.raises(RefusedError, match="does not exist"):
        open_store(address)
    assert tracking.list_runs(open_store(address, create=True)) == []
    assert Path(tmp_path, "runs.sqlite").is_file()
    with pytest.raises(RefusedError, match="there is no folder"):
        open_store(parse_address(f"sqlite:///{tmp_path}/nowhere/runs.sqlite", "here"), create=True)
