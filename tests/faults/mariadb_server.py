"""A MariaDB of the fault scripts' own, which can be stopped and started."""

from __future__ import annotations

import contextlib
import importlib.util
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from small_runs import REPOSITORY, hold


class MariaDb:
    """A server that can be stopped and started."""

    def __init__(self, folder: Path, user: str | None, port: int, program: str, install: str) -> None:
        self._folder, self._user, self._port = folder, user, port
        common = ["--no-defaults", f"--datadir={folder}/data"]
        command = [install, *common, "--auth-root-authentication-method=normal", "--skip-test-db"]
        subprocess.run(command, check=True, capture_output=True, user=user, cwd=folder)
        (folder / "init.sql").write_text(
            "CREATE USER IF NOT EXISTS 'team'@'%' IDENTIFIED BY 'fault';\n"
            "GRANT ALL ON runs.* TO 'team'@'%';\n"
        )
        self._command = [
            program, *common, f"--port={port}", "--bind-address=127.0.0.1", "--skip-name-resolve",
            f"--socket={folder}/socket", f"--pid-file={folder}/pid", f"--init-file={folder}/init.sql",
        ]  # fmt: skip
        self.address = f"mysql://team@127.0.0.1:{port}/runs"
        self.environment = {"DECONVFLOW_METADATA_PASSWORD": "fault"}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it answers."""
        with (self._folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                self._command, stdout=output, stderr=output, user=self._user, cwd=self._folder
            )
        deadline = time.monotonic() + 60
        while not _servers().listens(self._port):
            hold(time.monotonic() < deadline, "MariaDB did not start")
            time.sleep(0.1)

    def stop(self) -> None:
        """Returns when it is gone."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait()
            self._process = None


def with_mariadb(work: Callable[[MariaDb], str]) -> str:
    servers = _servers()
    program, install = servers.find_program("mariadbd"), servers.find_program("mariadb-install-db")
    if program is None or install is None:
        return "skipped, MariaDB is not on this machine"
    with servers.own_folder() as (folder, user), _started(folder, user, program, install) as server:
        return work(server)


@contextlib.contextmanager
def _started(folder: Path, user: str | None, program: str, install: str) -> Iterator[MariaDb]:
    server = MariaDb(folder, user, _servers().free_port(), program, install)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _servers() -> Any:
    """Returns the fixtures' module of the tests on real servers, for the functions in it."""
    if "fault_servers" not in sys.modules:
        path = REPOSITORY / "tests/pipeline/servers/conftest.py"
        spec = importlib.util.spec_from_file_location("fault_servers", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["fault_servers"] = module
        spec.loader.exec_module(module)
    return sys.modules["fault_servers"]
