"""Workers meet: in any order, with calls from others in between, and never without an end."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from trainer.cluster import Cluster
from trainer.meet_workers import PortTakenError, WorkersMissingError, meet_workers

LONG = 120.0


@pytest.fixture
def addresses() -> Iterator[tuple[str, ...]]:
    """Addresses of three workers, their ports reserved."""
    from worker_processes import reserve_ports

    with reserve_ports(3) as ports:
        yield tuple(f"127.0.0.1:{port}" for port in ports)


def connect(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + LONG
    while True:
        try:
            return socket.create_connection((host, int(port)), 5)
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_all_go_once_the_last_has_come(addresses: tuple[str, ...]) -> None:
    with ThreadPoolExecutor(2) as pool:
        chief = pool.submit(meet_workers, Cluster(addresses, 0), LONG)
        # Neither strangers nor workers of another size count, nor a worker that has left again.
        for line in (b"GET / HTTP/1.1\r\n\r\n", b"deconvflow-worker 2 2\n", b"deconvflow-worker 2 3\n"):
            with connect(addresses[0]) as stranger:
                stranger.sendall(line)
        first = pool.submit(meet_workers, Cluster(addresses, 1), LONG)
        time.sleep(1)
        assert not chief.done() and not first.done()
        meet_workers(Cluster(addresses, 2), LONG)
        for one in (chief, first):
            one.result(LONG)


def test_the_chief_names_who_is_missing(addresses: tuple[str, ...]) -> None:
    with ThreadPoolExecutor(1) as pool:
        chief = pool.submit(meet_workers, Cluster(addresses, 0), 2.0)
        with connect(addresses[0]) as worker:
            worker.sendall(b"deconvflow-worker 1 3\n")
            with pytest.raises(WorkersMissingError) as raised:
                chief.result(LONG)
    assert f"did not come in time: 2 ({addresses[2]})." in str(raised.value)


def test_workers_do_not_wait_for_a_chief_without_an_end(addresses: tuple[str, ...]) -> None:
    with pytest.raises(WorkersMissingError, match=rf"The chief \({addresses[0]}\)"):
        meet_workers(Cluster(addresses, 1), 0.5)


def test_what_is_no_chief_is_not_understood(addresses: tuple[str, ...]) -> None:
    """As TensorFlow's server of a training that has lost a worker and not ended yet."""
    host, _, port = addresses[0].rpartition(":")
    with socket.create_server((host, int(port))) as server:

        def answer() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(b"\x00\x00\x12\x04\n")

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(WorkersMissingError):
            meet_workers(Cluster(addresses, 1), 1.0)
        server.shutdown(socket.SHUT_RDWR)


def test_a_port_that_is_taken_is_named(addresses: tuple[str, ...]) -> None:
    host, _, port = addresses[1].rpartition(":")
    with (
        socket.create_server((host, int(port))),
        pytest.raises(PortTakenError, match=f"Port {port} of worker 1 is taken"),
    ):
        meet_workers(Cluster(addresses, 1), LONG)
