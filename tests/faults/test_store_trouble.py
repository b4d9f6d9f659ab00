"""Stores that are locked, damaged, read-only, of another version, or away."""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from ml_metadata import errors
from ml_metadata.proto import metadata_store_pb2 as pb

from data.errors import RefusedError
from pipeline import cli, patient_store, sqlite_faults, tracking, wait_for_store
from pipeline.connect_store import address_of, connect, open_store
from pipeline.explain_fault import explain_fault
from pipeline.sqlite_faults import refuse_bad_file
from pipeline.store_address import parse_address

_HOLD = """
import sqlite3, sys, time
other = sqlite3.connect(sys.argv[1], isolation_level=None)
other.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
time.sleep(float(sys.argv[2]))
other.execute("ROLLBACK")
"""


@pytest.fixture
def store_file(tmp_path: Path) -> Path:
    """A sound store with one run in it."""
    path = tmp_path / "metadata.sqlite"
    store = open_store(path, create=True)
    kind = store.put_context_type(pb.ContextType(name=tracking.RUN_CONTEXT_TYPE))
    store.put_contexts([pb.Context(type_id=kind, name="run-1")])
    return path


@contextlib.contextmanager
def held(path: Path, seconds: float) -> Iterator[None]:
    """Another process holds the file for so long."""
    command = [sys.executable, "-c", _HOLD, str(path), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "locked\n"
        yield
        process.kill()


def _refusal(path: Path, **options: float) -> tuple[str, str]:
    with pytest.raises(RefusedError) as refused:
        refuse_bad_file(path, **options)
    (problem,) = refused.value.problems
    return problem.code, problem.sentence()


def test_a_sound_store_an_empty_one_and_none_at_all_are_let_pass(store_file, tmp_path):
    before = store_file.read_bytes()
    refuse_bad_file(store_file)
    assert store_file.read_bytes() == before
    refuse_bad_file(tmp_path / "none.sqlite")
    assert not (tmp_path / "none.sqlite").exists()
    (tmp_path / "empty.sqlite").touch()
    refuse_bad_file(tmp_path / "empty.sqlite")


def test_another_program_s_lock_is_waited_for(store_file):
    with held(store_file, 1.0):
        refuse_bad_file(store_file, wait_seconds=60)
    assert [run.run_id for run in tracking.list_runs(open_store(store_file))] == ["run-1"]


def test_a_lock_that_does_not_end_is_named(store_file, monkeypatch):
    monkeypatch.setattr(sqlite_faults, "_POLL_SECONDS", 0.01)
    with held(store_file, 60):
        code, sentence = _refusal(store_file, wait_seconds=0.05)
    assert code == "store_locked"
    assert sentence.startswith(f"{store_file}: was locked by another program for 0.05 s. End what holds it")


@pytest.mark.parametrize("part", ["all", "half", "page"])
def test_a_damaged_store_is_refused_and_not_touched(part, store_file):
    content = bytearray(store_file.read_bytes())
    if part == "all":
        content = bytearray(os.urandom(len(content)))
    elif part == "half":
        del content[len(content) // 2 :]
    else:
        middle = len(content) // 2 // 4096 * 4096
        content[middle : middle + 8192] = b"\xa5" * 8192
    store_file.write_bytes(content)
    code, sentence = _refusal(store_file)
    assert code == "bad_metadata"
    assert "is damaged (" in sentence and "Restore it from a backup" in sentence
    assert store_file.read_bytes() == content


def test_a_database_of_another_program_is_refused_and_not_touched(tmp_path):
    path = tmp_path / "places.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as other, other:
        other.execute("CREATE TABLE bookmarks (url TEXT)")
    before = path.read_bytes()
    code, sentence = _refusal(path)
    assert code == "foreign_store" and "of another program (tables bookmarks)" in sentence
    assert path.read_bytes() == before


def test_a_place_that_cannot_be_written_is_refused(store_file, monkeypatch):
    # Root may write everywhere, so permissions would tell nothing here.
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != store_file)
    code, sentence = _refusal(store_file)
    assert code == "store_unwritable"
    assert sentence.startswith(f"{store_file}: cannot be written to, and every run is recorded there.")
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != store_file.parent)
    assert _refusal(store_file)[1].startswith(f"{store_file.parent}: cannot be written to")
    with pytest.raises(RefusedError, match="cannot be written to"):
        open_store(store_file, create=True)
    # It may be asked all the same.
    assert [run.run_id for run in tracking.list_runs(open_store(store_file))] == ["run-1"]


def test_a_folder_in_the_file_s_place_is_refused(tmp_path):
    assert "is a folder" in _refusal(tmp_path)[1]


@pytest.mark.parametrize("version", [9, 11])
def test_a_store_of_another_version_is_refused_by_number(version, store_file):
    with contextlib.closing(sqlite3.connect(store_file)) as other, other:
        other.execute(f"UPDATE MLMDEnv SET schema_version = {version}")
    with pytest.raises(RefusedError) as refused:
        open_store(store_file)
    (problem,) = refused.value.problems
    assert problem.code == "store_version"
    assert problem.what == f"has the tables of version {version} of ML Metadata, and this one has version 10"


def test_calls_are_patient_with_locks_and_connections_know_their_address(tmp_path):
    texts = (
        f"sqlite:///{tmp_path}/a.sqlite",
        "mysql://team@db:3307/runs",
        "postgresql://team@db:5433/runs",
        "grpc://db:8080",
    )
    for text in texts:
        assert str(address_of(connect(parse_address(text, "here")))) == text
    # Two seconds before each, on average: longer than another program's 30 s.
    assert connect(parse_address(texts[0], "here")).retry_options.max_num_retries * 2 > 30


def test_a_server_that_comes_back_is_waited_for(monkeypatch):
    monkeypatch.setattr(wait_for_store, "_POLL_SECONDS", 0.01)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = parse_address(f"mysql://team@127.0.0.1:{port}/runs", "here")
    tried = threading.Event()
    ask = wait_for_store.probe_server

    def probe_server(*arguments: object) -> None:
        try:
            ask(*arguments)
        except RefusedError:
            tried.set()
            raise

    monkeypatch.setattr(wait_for_store, "probe_server", probe_server)

    def come_back() -> None:
        tried.wait()
        with socket.create_server(("127.0.0.1", port)) as server:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"\x01\x00\x00\x00\x0a")  # As MySQL begins.

    thread = threading.Thread(target=come_back)
    thread.start()
    wait_for_store.wait_for_store(address, wait_seconds=60)
    thread.join()
    assert tried.is_set()


def test_a_server_that_stays_away_ends_the_wait_with_a_sentence(monkeypatch):
    monkeypatch.setattr(wait_for_store, "_POLL_SECONDS", 0.01)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))  # Bound, and nobody listens.
        address = parse_address(f"mysql://team@127.0.0.1:{probe.getsockname()[1]}/runs", "here")
        started = time.monotonic()
        with pytest.raises(RefusedError, match=r"cannot be reached .*Start the server"):
            wait_for_store.wait_for_store(address, wait_seconds=0.05)
        assert time.monotonic() - started >= 0.05


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("mysql_query failed: errno: 2006, error: MySQL server has gone away", "store_unreachable"),
        ("Error when executing query: attempt to write a readonly database", "store_unwritable"),
        ("Error when executing query: database disk image is malformed", "bad_metadata"),
        ("Concurrent writes aborted after max number of retries.", "store_locked"),
        ("Given node already exists", None),
    ],
)
def test_what_ml_metadata_raises_in_the_middle_becomes_a_sentence(text, code, tmp_path):
    problem = explain_fault(errors.make_exception(text, errors.INTERNAL), [tmp_path], "mysql://team@db/runs")
    assert (problem.code if problem else None) == code
    assert problem is None or problem.where == "mysql://team@db/runs"
    # The same words of anybody else are not the store's.
    assert explain_fault(ValueError(text.removeprefix("mysql_")), [tmp_path], "store") is None


def test_commands_that_ask_end_with_a_sentence_too(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["deconvflow", "runs"])

    def call() -> SimpleNamespace:
        raise errors.make_exception("database disk image is malformed", errors.INTERNAL)

    assert cli.run_app(call) == cli.EXIT_REFUSED
    assert capsys.readouterr().err.startswith(
        "the metadata store: is damaged. Restore it from a backup, then"
    )


@pytest.mark.parametrize(
    ("method", "said", "asked"),
    [
        ("GetContexts", "mysql_query failed: errno: Lost connection to MySQL server during query", 2),
        ("GetContexts", "PostgreSQL error: server closed the connection unexpectedly", 2),
        ("GetContexts", "Given node already exists", 1),
        # It may have been written before.
        ("PutContexts", "mysql_query failed: errno: Lost connection to MySQL server during query", 1),
    ],
)
def test_a_question_is_asked_again_after_a_restart_and_a_write_is_not(method, said, asked, monkeypatch):
    calls: list[str] = []

    def call(_: object, name: str, *__: object) -> None:
        calls.append(name)
        if len(calls) == 1:
            raise errors.make_exception(said, errors.INTERNAL)

    monkeypatch.setattr(patient_store.MetadataStore, "_call_method", call)
    monkeypatch.setattr(patient_store.PatientStore, "_connect_again", lambda _: calls.append("connect"))
    store = object.__new__(patient_store.PatientStore)
    if asked == 1:
        with pytest.raises(errors.InternalError):
            store._call_method(method, None, None)
        assert calls == [method]
    else:
        store._call_method(method, None, None)
        assert calls == [method, "connect", method]
