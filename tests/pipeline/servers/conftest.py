"""Real metadata servers, each on a port of its own and gone with the tests."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from ml_metadata.metadata_store.pywrap.metadata_store_extension import metadata_store as local
from ml_metadata.proto import metadata_store_pb2 as pb
from ml_metadata.proto import metadata_store_service_pb2 as service_pb2
from ml_metadata.proto import metadata_store_service_pb2_grpc as service_grpc

# Spaces, quotes and a backslash: MLMD hands them on unquoted to PostgreSQL's client.
PASSWORD = r"it's a \ s3cret, host=elsewhere"
_START_SECONDS = 60


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    address: str
    password: str = ""


def free_port() -> int:
    """Returns a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def find_program(name: str, *folders: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", *folders]))


@contextlib.contextmanager
def own_folder() -> Iterator[tuple[Path, str | None]]:
    """Yields a folder, and the user to start a server as: these servers do not run as root."""
    with tempfile.TemporaryDirectory(prefix="deconvflow-server-") as name:
        folder, user = Path(name), None
        if os.getuid() == 0:
            user = "nobody"
            shutil.chown(folder, user)
        yield folder, user


@contextlib.contextmanager
def _running(command: list[str], folder: Path, user: str | None, ready: Callable[[], bool]) -> Iterator[None]:
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, user=user, cwd=folder)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{command[0]} did not start: {(folder / 'output').read_text()[-2000:]}")
            time.sleep(0.1)
        yield
    finally:
        # PostgreSQL ends on SIGTERM when its last client has gone, on SIGINT at once; MariaDB ignores that.
        process.send_signal(signal.SIGINT if "postgres" in command[0] else signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@pytest.fixture(scope="module")
def mariadb() -> Iterator[Server]:
    """MariaDB of Debian's package mariadb-server."""
    server, install = find_program("mariadbd"), find_program("mariadb-install-db")
    if server is None or install is None:
        pytest.skip("MariaDB is not on this machine: apt-get install mariadb-server")
    escaped = PASSWORD.replace("\\", "\\\\").replace("'", "''")
    with own_folder() as (folder, user):
        data, port = folder / "data", free_port()
        common = ["--no-defaults", f"--datadir={data}"]
        subprocess.run(
            [install, *common, "--auth-root-authentication-method=normal", "--skip-test-db"],
            check=True, capture_output=True, user=user, cwd=folder,
        )  # fmt: skip
        (folder / "init.sql").write_text(
            f"CREATE USER 'team'@'%' IDENTIFIED BY '{escaped}';\n"
            "GRANT ALL ON runs.* TO 'team'@'%';\nGRANT ALL ON elsewhere.* TO 'team'@'%';\n"
        )
        command = [
            server, *common, f"--port={port}", "--bind-address=127.0.0.1", "--skip-name-resolve",
            f"--socket={folder}/socket", f"--pid-file={folder}/pid", f"--init-file={folder}/init.sql",
        ]  # fmt: skip
        with _running(command, folder, user, lambda: listens(port)):
            yield Server(f"mysql://team@localhost:{port}/runs", PASSWORD)


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Server]:
    """PostgreSQL of Debian's package."""
    found = [str(path.parent) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))]
    server, initdb = find_program("postgres", *found), find_program("initdb", *found)
    if server is None or initdb is None:
        pytest.skip("PostgreSQL is not on this machine: apt-get install postgresql")
    with own_folder() as (folder, user):
        data, port = folder / "data", free_port()
        (folder / "password").write_text(PASSWORD)
        subprocess.run(
            [initdb, "-D", data, "-U", "team", "--pwfile", folder / "password", "-A", "scram-sha-256",
             "--no-sync", "-E", "UTF8", "--locale=C"],
            check=True, capture_output=True, user=user, cwd=folder,
        )  # fmt: skip
        command = [
            server, "-D", str(data), "-p", str(port), "-k", str(folder), "-c", "listen_addresses=127.0.0.1",
            "-c", "fsync=off",
        ]  # fmt: skip
        log = folder / "output"
        ready = "ready to accept connections"
        with _running(command, folder, user, lambda: ready in log.read_text()):
            yield Server(f"postgresql://team@127.0.0.1:{port}/runs", PASSWORD)


@pytest.fixture(scope="module")
def metadata_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A metadata service over gRPC that keeps what it is told in a sqlite store.

    The wheels hold the service's protocol and its client, but not the server; this one answers every
    method of the protocol by the same C++ library.
    """
    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = str(tmp_path_factory.mktemp("service") / "service.sqlite")
    config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    store = local.CreateMetadataStore(config.SerializeToString(), pb.MigrationOptions().SerializeToString())
    # One worker: the store is for one thread at a time.
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
    service_grpc.add_MetadataStoreServiceServicer_to_server(_Service(store), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield Server(f"grpc://127.0.0.1:{port}")
    server.stop(None).wait()


class _Service(service_grpc.MetadataStoreServiceServicer):
    def __init__(self, store: object) -> None:
        for method in service_pb2.DESCRIPTOR.services_by_name["MetadataStoreService"].methods:
            if hasattr(local, method.name):
                setattr(self, method.name, _answer(store, method.name, method.output_type.name))


def _answer(store: object, name: str, response_name: str) -> Callable[..., object]:
    call, response_type = getattr(local, name), getattr(service_pb2, response_name)

    def answer(request: object, context: grpc.ServicerContext) -> object:
        message, said, code = call(store, request.SerializeToString())  # type: ignore[attr-defined]
        if code != 0:
            status = next(status for status in grpc.StatusCode if status.value[0] == code)
            context.abort(status, said.decode() if isinstance(said, bytes) else said)
        response = response_type()
        response.ParseFromString(message)
        return response

    return answer
