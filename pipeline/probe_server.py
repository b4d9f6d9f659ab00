"""Whether a metadata server answers at all: a few bytes each way, with a limit in time.

MLMD's own client waits for ever on a server that accepts a connection and then says nothing, holds
Python's global lock meanwhile, and keeps to itself why it failed. So we look first.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

from data.errors import Problem, RefusedError
from pipeline.store_address import StoreAddress

TIMEOUT_SECONDS = 10.0
_SSL_REQUEST = struct.pack(">II", 8, 80877103)
"""PostgreSQL's frontend/backend protocol, section Message Formats: the answer is one byte, S or N."""


def probe_server(address: StoreAddress, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
    """Speaks the first words of a server's protocol.

    Raises:
        RefusedError: if no server answers in time, or one of another kind does.
    """
    what = _PROBES[address.scheme](address, timeout_seconds)
    if what:
        remedy = f"Start the server, or name the right host and port; {address.scheme} was expected"
        raise RefusedError([Problem(str(address), what, remedy, "store_unreachable")])


def _probe_mysql(address: StoreAddress, timeout_seconds: float) -> str:
    # The server speaks first: four bytes of header, then 10, the version of its protocol.
    return _talk(address, timeout_seconds, b"", 5, lambda answer: answer[4:5] == b"\x0a", "MySQL or MariaDB")


def _probe_postgresql(address: StoreAddress, timeout_seconds: float) -> str:
    return _talk(
        address, timeout_seconds, _SSL_REQUEST, 1, lambda answer: answer in (b"S", b"N"), "PostgreSQL"
    )


def _talk(
    address: StoreAddress,
    timeout_seconds: float,
    says: bytes,
    size: int,
    is_right: Callable[[bytes], bool],
    kind: str,
) -> str:
    """Returns what is wrong with the server, empty if nothing is."""
    answer = b""
    try:
        with socket.create_connection((address.host, address.port), timeout_seconds) as connection:
            connection.sendall(says)
            while len(answer) < size:
                received = connection.recv(size - len(answer))
                if not received:
                    break
                answer += received
    except TimeoutError:
        return f"does not answer within {timeout_seconds:g} s"
    except (OSError, UnicodeError) as error:
        return f"cannot be reached ({getattr(error, 'strerror', None) or error})"
    return "" if is_right(answer) else f"answers, but not as {kind} does"


def _probe_grpc(address: StoreAddress, timeout_seconds: float) -> str:
    import grpc  # type: ignore[import-untyped]

    target = str(address).removeprefix("grpc://")
    with grpc.insecure_channel(target) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=timeout_seconds)
        except grpc.FutureTimeoutError:
            return f"no metadata service answers within {timeout_seconds:g} s"
    return ""


_PROBES = {"mysql": _probe_mysql, "postgresql": _probe_postgresql, "grpc": _probe_grpc}
