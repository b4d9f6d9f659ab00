"""The one place that turns a store's address into a connection of ML Metadata, and opens it."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from ml_metadata import MetadataStore, errors
from ml_metadata.proto import metadata_store_pb2 as pb

from data.errors import Problem, RefusedError
from data.free_space import LEAST_BYTES, disk_full, find_full_disk
from pipeline.patient_store import PatientStore
from pipeline.postgresql_store import PostgreSQLStore
from pipeline.probe_server import probe_server
from pipeline.sqlite_faults import find_bad_file
from pipeline.store_address import PASSWORD_VARIABLE, StoreAddress, read_password

Connection: TypeAlias = pb.ConnectionConfig | pb.MetadataStoreClientConfig

_CALL_TIMEOUT_SECONDS = 60.0
_LOCKED_ATTEMPTS = 25
"""Of a call, with some two seconds before each: how long another program may hold a sqlite file."""
_OPEN_ATTEMPTS = 10
"""Each of them waits for some seconds by itself."""
_MAX_MESSAGE_BYTES = 2**31 - 1
"""gRPC's own limit of 4 MB would be less than the history of some thousand runs."""
_VERSIONS = re.compile(r"database version (\d+) is (?:older|greater) than library version (\d+)")


def build_connection(address: StoreAddress, password: str = "") -> Connection:
    """Returns MLMD's configuration of a store.

    Args:
        address: of the store. A sqlite file is made where there is none; a server's database is not.
        password: never to be given for what is logged or kept; see ``describe_connection``.
    """
    if address.scheme == "grpc":
        host = f"[{address.host}]" if ":" in address.host else address.host
        client = pb.MetadataStoreClientConfig(host=host, port=address.port)
        client.client_timeout_sec = _CALL_TIMEOUT_SECONDS
        client.channel_arguments.max_receive_message_length = _MAX_MESSAGE_BYTES
        return client
    connection = pb.ConnectionConfig()
    if address.scheme == "mysql":
        # To MySQL's client, localhost is no host but its socket file.
        host = "127.0.0.1" if address.host == "localhost" else address.host
        mysql = pb.MySQLDatabaseConfig(host=host, port=address.port, database=address.database)
        mysql.user, mysql.password, mysql.skip_db_creation = address.user, password, True
        connection.mysql.CopyFrom(mysql)
    elif address.scheme == "postgresql":
        server = pb.PostgreSQLDatabaseConfig(
            host=address.host, port=str(address.port), dbname=address.database
        )
        server.user, server.password = _quote(address.user), _quote(password)
        server.skip_db_creation = True
        connection.postgresql.CopyFrom(server)
    else:
        connection.sqlite.filename_uri = str(address.path)
        connection.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        connection.retry_options.max_num_retries = _LOCKED_ATTEMPTS
    return connection


def address_of(connection: Connection) -> StoreAddress:
    """Returns the address that a connection was built from."""
    if isinstance(connection, pb.MetadataStoreClientConfig):
        return StoreAddress("grpc", None, connection.host, connection.port)
    if connection.HasField("mysql"):
        mysql = connection.mysql
        return StoreAddress("mysql", None, mysql.host, mysql.port, mysql.user, mysql.database)
    if connection.HasField("postgresql"):
        server = connection.postgresql
        user = server.user.strip("'")
        return StoreAddress("postgresql", None, server.host, int(server.port), user, server.dbname)
    return StoreAddress("sqlite", path=Path(connection.sqlite.filename_uri))


def connect(address: StoreAddress) -> Connection:
    """Returns MLMD's configuration of a store, with the password of its user. Keep it in memory only."""
    return build_connection(address, read_password() if address.takes_password else "")


def describe_connection(address: StoreAddress) -> Connection:
    """Returns MLMD's configuration of a store without a password, as it may be seen by all."""
    return build_connection(address)


def open_store(place: StoreAddress | Path, create: bool = False) -> MetadataStore:
    """Opens a store.

    Args:
        place: its address, or a sqlite file.
        create: make the file, or the server's database, where there is none.

    Raises:
        RefusedError: if there is none, no server answers, or it does not let us in.
    """
    address = place if isinstance(place, StoreAddress) else StoreAddress("sqlite", path=Path(place))
    if address.path is not None:
        _prepare_file(address.path, create)
    else:
        probe_server(address)
    return _open(address, connect(address), create)


def _open(address: StoreAddress, connection: Connection, create: bool) -> MetadataStore:
    with _capture_stderr() as captured:
        try:
            return _try(connection)
        except (errors.StatusError, RuntimeError) as caught:
            error = caught
        if create and address.takes_password:
            # Tried second: not everyone who may write to a database may make one.
            try:
                _create_database(connection)
                return _try(connection)
            except (errors.StatusError, RuntimeError) as caught:
                error = caught
    details = _explain(str(error), captured)
    raise RefusedError([_problem(address, details)]) from None


def new_store(connection: Connection) -> MetadataStore:
    """Returns MLMD's client, or ours where its own cannot write every text.

    Raises:
        RuntimeError: if the database cannot be opened.
    """
    if isinstance(connection, pb.ConnectionConfig) and connection.HasField("postgresql"):
        return PostgreSQLStore(connection)
    is_file = isinstance(connection, pb.ConnectionConfig) and connection.HasField("sqlite")
    return MetadataStore(connection) if is_file else PatientStore(connection)


def _try(connection: Connection) -> MetadataStore:
    for attempt in range(_OPEN_ATTEMPTS):
        try:
            store = new_store(connection)
            break
        except RuntimeError as error:
            # Another program writes to a sqlite file.
            if "ABORTED" not in str(error) or attempt == _OPEN_ATTEMPTS - 1:
                raise
    if isinstance(connection, pb.MetadataStoreClientConfig):
        store.get_context_types()  # A channel opens without asking anybody.
    return store


def _create_database(connection: pb.ConnectionConfig) -> None:
    creating = pb.ConnectionConfig()
    creating.CopyFrom(connection)
    getattr(creating, creating.WhichOneof("config")).skip_db_creation = False
    MetadataStore(creating)


def _prepare_file(path: Path, create: bool) -> None:
    if create:
        if not path.parent.is_dir():
            what = f"cannot be made: there is no folder {path.parent}"
            remedy = "Make the folder, or name a file in one; an absolute path starts with sqlite:////"
            raise RefusedError([Problem(str(path), what, remedy, "bad_store")])
        if problem := find_bad_file(path):
            raise RefusedError([problem])
    elif not path.exists():
        what = "does not exist: no run was recorded in this workspace"
        remedy = "Name the workspace with --workspace, or start a run with `deconvflow run`"
        raise RefusedError([Problem(str(path), what, remedy, "no_metadata")])


def _problem(address: StoreAddress, details: str) -> Problem:
    said = f": {details}" if details else ""
    if address.path is not None:
        return _file_problem(address.path, details)
    if found := _VERSIONS.search(details):
        return _version_problem(str(address), found)
    if address.scheme == "grpc":
        what = f"answers, but not as a metadata service does{said}"
        return Problem(str(address), what, "Name the host and port of a metadata service", "store_refused")
    remedy = (
        f"Check the names, the password in {PASSWORD_VARIABLE}, and that the user may write to the database"
    )
    if address.scheme == "mysql":
        remedy += "; ML Metadata signs in by mysql_native_password, and by nothing else"
    what = f"answers, but does not let {address.user} into {address.database}{said}"
    return Problem(str(address), what, remedy, "store_refused")


def _file_problem(path: Path, details: str) -> Problem:
    if found := _VERSIONS.search(details):
        return _version_problem(str(path), found)
    if "ABORTED" in details:
        remedy = "Wait for the program that writes to it, or end it"
        return Problem(str(path), "is locked by another program", remedy, "store_locked")
    if find_full_disk(RuntimeError(details), [path]):
        return disk_full(str(path), LEAST_BYTES, "the files of this run")
    said = details.rpartition("executing query: ")[2].partition(" query:")[0]
    remedy = "Restore it from a backup, or move it away to begin a new history; served versions stay"
    return Problem(str(path), f"cannot be opened: {said}", remedy, "bad_metadata")


def _version_problem(where: str, found: re.Match[str]) -> Problem:
    what = f"has the tables of version {found[1]} of ML Metadata, and this one has version {found[2]}"
    remedy = "Use the deconvflow that wrote it, or migrate a copy of it as ML Metadata's guide says"
    return Problem(where, what, remedy, "store_version")


def _explain(message: str, captured: list[str]) -> str:
    """Returns what is worth reading of an error; MLMD's clients write the reason to stderr only."""
    for line in captured:
        if found := re.search(r"PostgreSQL error: (.+)", line):
            message = found[1]
    message = re.sub(r"mysql_real_connect failed: errno: , error: ", "", message)
    message = re.sub(r".*mysql_query failed: errno: (.+), error: .*", r"\1", message)
    message = re.sub(r"PostgreSQL metadata source error: (connection pointer is NULL)?", "", message)
    return " ".join(message.split())


def _quote(value: str) -> str:
    """Quotes a value of libpq's connection string, which MLMD joins without quoting."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'" if value else ""


@contextlib.contextmanager
def _capture_stderr() -> Iterator[list[str]]:
    """Collects the lines that C++ writes to file descriptor 2."""
    lines: list[str] = []
    sys.stderr.flush()
    original = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(original, 2)
            os.close(original)
            file.seek(0)
            lines += file.read().decode("utf-8", "replace").splitlines()
