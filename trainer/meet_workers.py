"""Workers meet before TensorFlow starts: nobody waits in it for somebody who never comes.

TensorFlow's own start waits for missing workers without an end, deaf to signals. Here the chief listens at
its own address, every worker says who it is, and once all are there the chief says go. A worker that was
started again while the others still hold on to the lost one is not understood by them (what listens at the
chief's address is TensorFlow then), and tries again until they have ended and started again, too.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator

from trainer.cluster import Cluster

_HELLO, _GO = "deconvflow-worker", b"go\n"
_PAUSE_SECONDS = 0.2
_LINE_SECONDS = 5.0
_LONGEST_LINE = 200


class WorkersMissingError(RuntimeError):
    """Not all workers came in time."""


class PortTakenError(RuntimeError):
    """Something else listens at this worker's address."""


def meet_workers(cluster: Cluster, limit_seconds: float) -> None:
    """Waits until all workers are there; returns in all of them at about the same time.

    Args:
        cluster: who is to come.
        limit_seconds: to wait at most.

    Raises:
        WorkersMissingError: not all came.
        PortTakenError: something else listens at this worker's port.
    """
    deadline = time.monotonic() + limit_seconds
    with _listen(cluster) as listener:
        if cluster.is_chief:
            _gather(cluster, listener, deadline)
            return
    while not _report(cluster, deadline):
        if time.monotonic() > deadline:
            raise WorkersMissingError(
                f"The chief ({cluster.addresses[0]}) or another worker did not come within "
                f"{limit_seconds / 60:.3g} minutes. See why they do not start, then start all again."
            )
        time.sleep(_PAUSE_SECONDS)


@contextlib.contextmanager
def _listen(cluster: Cluster) -> Iterator[socket.socket]:
    """Takes this worker's port, all of whose addresses TensorFlow will listen at."""
    port = int(cluster.addresses[cluster.index].rpartition(":")[2])
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("", port))
        except OSError as error:
            raise PortTakenError(
                f"Port {port} of worker {cluster.index} is taken ({error.strerror}). Give it another one in "
                "TF_CONFIG, of all workers."
            ) from error
        if cluster.is_chief:
            listener.listen(len(cluster.addresses))
        yield listener


def _gather(cluster: Cluster, listener: socket.socket, deadline: float) -> None:
    """Collects the workers, and says go to all of them."""
    present: dict[int, socket.socket] = {}
    missing = set(range(1, len(cluster.addresses)))
    listener.settimeout(_PAUSE_SECONDS)
    with contextlib.ExitStack() as connections:
        while missing:
            if time.monotonic() > deadline:
                names = ", ".join(f"{index} ({cluster.addresses[index]})" for index in sorted(missing))
                raise WorkersMissingError(
                    f"Of {len(cluster.addresses)} workers these did not come in time: {names}. See why they "
                    "do not start, then start all again."
                )
            with contextlib.suppress(TimeoutError):
                connection = connections.enter_context(listener.accept()[0])
                if (index := _read_hello(connection, len(cluster.addresses))) is not None:
                    present[index] = connection
            # Who hung up while waiting comes again.
            present = {index: one for index, one in present.items() if _is_open(one)}
            missing = set(range(1, len(cluster.addresses))) - set(present)
        for connection in present.values():
            with contextlib.suppress(OSError):
                connection.sendall(_GO)


def _read_hello(connection: socket.socket, size: int) -> int | None:
    """Returns which worker calls; None for whoever is no worker of this size of cluster."""
    connection.settimeout(_LINE_SECONDS)
    try:
        words = _read_line(connection).decode("ascii", "replace").split()
    except OSError:
        return None
    if len(words) != 3 or words[0] != _HELLO or words[2] != str(size) or not words[1].isdecimal():
        return None
    return int(words[1]) if 0 < int(words[1]) < size else None


def _read_line(connection: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n") and len(line) < _LONGEST_LINE:
        if not (some := connection.recv(_LONGEST_LINE)):
            break
        line += some
    return line


def _is_open(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return bool(connection.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return True
    except OSError:
        return False


def _report(cluster: Cluster, deadline: float) -> bool:
    """Tells the chief that this worker is there; returns whether it said go."""
    host, _, port = cluster.addresses[0].rpartition(":")
    hello = f"{_HELLO} {cluster.index} {len(cluster.addresses)}\n".encode()
    try:
        with socket.create_connection((host, int(port)), _LINE_SECONDS) as connection:
            connection.sendall(hello)
            connection.settimeout(max(deadline - time.monotonic(), _PAUSE_SECONDS))
            return _read_line(connection) == _GO
    except OSError:
        return False
