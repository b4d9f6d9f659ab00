"""One run at a time in a workspace, tried with real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from data.errors import RefusedError
from pipeline import tracking
from pipeline.lock_workspace import lock_workspace, read_holder

REPOSITORY = Path(__file__).resolve().parents[2]
_HOLD = """
import os, sys, time
from pathlib import Path
from pipeline.lock_workspace import lock_workspace
with lock_workspace(Path(sys.argv[1]), sys.argv[2]):
    child = os.fork() if "fork" in sys.argv else 1
    # A child speaks for itself: by then it is past what it does after a fork.
    if child == 1 or not child:
        print(child or os.getpid(), flush=True)
    time.sleep(60)
"""


@pytest.fixture
def hold():
    """Starts a process that holds a lock; it is killed at the end."""
    started = []

    def start(lock_file, run_id, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", _HOLD, str(lock_file), run_id, *arguments],
            stdout=subprocess.PIPE, text=True, cwd=REPOSITORY,
        )  # fmt: skip
        started.append(process)
        process.child = int(process.stdout.readline())
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_whoever_does_not_wait_is_told_who_holds_the_workspace(hold, tmp_path):
    lock_file = tmp_path / "workspace" / "run.lock"
    process = hold(lock_file, "run-a")
    with pytest.raises(RefusedError) as refused, lock_workspace(lock_file, "run-b", wait=False):
        pass
    (problem,) = refused.value.problems
    assert problem.where == str(tmp_path / "workspace")
    assert f"is held by run run-a (process {process.pid} on {os.uname().nodename}, since " in problem.what
    assert "--no-wait" in problem.remedy
    assert read_holder(lock_file).run_id == "run-a"


@pytest.mark.parametrize("fork", [(), ("fork",)], ids=["alone", "with a child that lives on"])
def test_a_killed_process_holds_nothing(hold, tmp_path, fork):
    lock_file = tmp_path / "run.lock"
    process = hold(lock_file, "run-a", *fork)
    process.kill()
    process.wait()
    try:
        with lock_workspace(lock_file, "run-b", wait=False):
            assert read_holder(lock_file).run_id == "run-b"
            assert read_holder(lock_file).pid == os.getpid()
    finally:
        if fork:
            os.kill(process.child, signal.SIGKILL)
    assert read_holder(lock_file) is None


def test_whoever_waits_is_told_for_whom_and_goes_on_when_it_ends(hold, tmp_path):
    lock_file = tmp_path / "run.lock"
    process = hold(lock_file, "run-a")
    told = []

    def tell(sentence):
        told.append(sentence)
        process.terminate()

    with lock_workspace(lock_file, "run-b", tell=tell):
        assert process.wait() == -signal.SIGTERM
    assert len(told) == 1
    assert told[0].startswith(f"waiting for run run-a (process {process.pid} on ")


def test_what_is_in_the_file_decides_nothing(tmp_path):
    lock_file = tmp_path / "run.lock"
    for content in (b"", b"\xff", b"[]", b'{"run_id": "old", "pid": 1, "host": "h", "since": 0}'):
        lock_file.write_bytes(content)
        with lock_workspace(lock_file, "run-b", wait=False):
            assert read_holder(lock_file).run_id == "run-b"


def test_a_workspace_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "workspace").write_text("a file")
    with (
        pytest.raises(RefusedError, match="--workspace"),
        lock_workspace(tmp_path / "workspace/run.lock", "a"),
    ):
        pass


_SMALL_DAG = """
import time, types
from ml_metadata.proto import metadata_store_pb2 as pb
from pipeline import tracking
from pipeline.config import config_json
from pipeline.connect_store import new_store

def register_run(config, connection, run_id):
    store = new_store(connection)
    kind = store.put_context_type(pb.ContextType(name=tracking.RUN_CONTEXT_TYPE))
    store.put_contexts([pb.Context(type_id=kind, name=run_id)])
    values = {tracking.CONFIG_PROPERTY: config_json(config)}
    values[tracking.PROCESS_PROPERTY] = tracking.describe_process()
    tracking.put_run_properties(store, run_id, values)

def execute(config, workspace, connection, run_id):
    store = new_store(connection)
    kind = store.put_execution_type(pb.ExecutionType(name="small.Only"))
    run = store.get_context_by_type_and_name(tracking.RUN_CONTEXT_TYPE, run_id)
    execution = pb.Execution(type_id=kind, last_known_state=pb.Execution.RUNNING)
    execution.id, _, _ = store.put_execution(execution, [], [run])
    time.sleep(1.5)
    execution.last_known_state = pb.Execution.COMPLETE
    store.put_executions([execution])

sys.modules["pipeline.execute_dag"] = types.ModuleType("pipeline.execute_dag")
vars(sys.modules["pipeline.execute_dag"]).update(register_run=register_run, execute=execute)
"""
_TFX_DAG = """
from pipeline import execute_dag
from pipeline.connect_store import describe_connection
from pipeline.store_address import find_store

def create_pipeline(config, workspace):
    from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen
    from tfx.orchestration.pipeline import Pipeline
    from components.dataset_snapshot import DatasetSnapshot
    from data.build_schema import build_schema, write_schema
    schema = write_schema(build_schema(config.data), workspace.schema_folder(config.name))
    return Pipeline(
        pipeline_name=config.name,
        pipeline_root=str(workspace.pipeline_root(config.name)),
        components=[
            DatasetSnapshot(data_config=config.data.model_dump_json()),
            ImportSchemaGen(schema_file=str(schema)),
        ],
        enable_cache=True,
        metadata_connection_config=describe_connection(find_store(workspace)),
    )

execute_dag.create_pipeline = create_pipeline
"""
_RUN = """
import sys
{dag}
from pipeline import cli, run_local
run_local._summarise = lambda outputs, verdict, error, fault: {{"status": "failed", "error": str(error)}}
print("ready", flush=True)
sys.stdin.readline()
cli.main()
"""


@pytest.fixture
def run_twice(tmp_path, write_pairs, tree):
    """Starts two processes, has both run the same at once, and returns what each printed."""
    data = write_pairs(tmp_path / "data", {"train": 3, "val": 1, "test": 1}).model_dump(mode="json")
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(tree | {"data": data}))
    arguments = ["run", "--config", str(config), "--workspace", str(tmp_path / "workspace"), "--json"]

    def run(dag):
        command = [sys.executable, "-c", _RUN.format(dag=dag), *arguments]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        processes = [subprocess.Popen(command, text=True, cwd=REPOSITORY, **pipes) for _ in range(2)]
        try:
            assert [process.stdout.readline() for process in processes] == ["ready\n"] * 2
            for process in processes:
                process.stdin.write("go\n")
                process.stdin.flush()
            return [process.communicate(timeout=120) for process in processes]
        finally:
            for process in processes:
                process.kill()

    return run


def _check_both(ended, workspace):
    """Checks that one ran after the other and both are recorded; returns the states of each."""
    documents = [json.loads(out) for out, _ in ended]
    assert [document["error"] for document in documents] == ["None", "None"], ended
    first, second = sorted(documents, key=lambda document: document["started"])
    # A moment more is rounding: the store keeps milliseconds.
    assert second["started"] >= first["started"] + first["seconds"] - 0.1
    waited = [err for _, err in ended if "waiting for run" in err]
    assert len(waited) == 1 and f"waiting for run {first['run_id']} (process " in waited[0]
    records = tracking.list_runs(tracking.open_store(workspace / "metadata.sqlite"))
    assert [record.run_id for record in records] == [first["run_id"], second["run_id"]]
    return [[(one["id"], one["state"]) for one in document["components"]] for document in (first, second)]


@pytest.mark.slow
def test_two_runs_at_once_finish_one_after_the_other_and_both_are_recorded(run_twice, tmp_path):
    states = _check_both(run_twice(_SMALL_DAG), tmp_path / "workspace")
    assert [[state for _, state in found] for found in states] == [["complete"], ["complete"]]


@pytest.mark.slow
@pytest.mark.long("takes half a minute")
def test_the_second_of_two_runs_at_once_has_the_first_one_s_cache(run_twice, tmp_path):
    states = _check_both(run_twice(_TFX_DAG), tmp_path / "workspace")
    assert states == [
        [("DatasetSnapshot", "complete"), ("ImportSchemaGen", "complete")],
        [("DatasetSnapshot", "cached"), ("ImportSchemaGen", "cached")],
    ]
