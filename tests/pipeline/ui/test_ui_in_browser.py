"""The local pages from a real server in real Chromium: reached, readable, and clean by axe-core."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.ui import serve
from pipeline.ui.app import build_app
from pipeline.ui.history_reader import HistoryReader
from pipeline.workspace import Workspace

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[3]
PAGES = (
    "/",
    "/show?run=run-3",
    "/compare?run=run-1&run=run-2",
    "/lineage?of=boxes/3",
    "/lineage?of=train/scene_001",
    "/show?run=nope",
)
LOOKS = {
    "wide": ("--window-size=1280,900",),
    "narrow and dark": ("--window-size=500,900", "--blink-settings=preferredColorScheme=0"),
}


class WithScript:
    """Adds a script to each page, and takes away the policy that would not let it run."""

    def __init__(self, app: ASGIApp, script: str) -> None:
        self._app, self._script = app, f"<script>{script}</script></body>".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start: Message = {}
        body = b""

        async def keep(message: Message) -> None:
            nonlocal body
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                body += message["body"]

        await self._app(scope, receive, keep)
        body = body.replace(b"</body>", self._script).replace(b"<details>", b"<details open>")
        kept = (b"x-content-type-options", b"content-type")
        headers = [(name, value) for name, value in start["headers"] if name in kept]
        await send(start | {"headers": headers})
        await send({"type": "http.response.body", "body": body})


@pytest.fixture
def start_server(four_runs: Any) -> Iterator[Callable[..., str]]:
    """Serves the pages from a thread; returns the server's address."""
    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(script: str = "") -> str:
        listening = serve.bind(0)
        port = listening.getsockname()[1]
        app = build_app(HistoryReader(Workspace(four_runs.workspace)), port)
        config = uvicorn.Config(
            WithScript(app, script) if script else app, log_level="critical", lifespan="off"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        running.append((server, thread))
        return f"http://127.0.0.1:{port}"

    yield start
    for server, thread in running:
        server.should_exit = True
        thread.join(30)


def test_axe_finds_nothing(start_server: Callable[..., str], browser: Any, axe_script: str) -> None:
    address = start_server(axe_script)
    found = {
        (path, look): browser.read_title(address + path, *flags)
        for path in PAGES
        for look, flags in LOOKS.items()
        if look == "wide" or path in PAGES[:2]
    }

    assert {place: problems for place, problems in found.items() if problems} == {}


def test_nothing_sticks_out_of_a_narrow_window(start_server: Callable[..., str], browser: Any) -> None:
    measure = "document.title = JSON.stringify([document.documentElement.scrollWidth, innerWidth])"
    address = start_server(measure)
    for path in PAGES[:5]:
        scroll, inner = browser.read_title(address + path, "--window-size=500,900")
        assert scroll <= inner, path


def test_the_policy_lets_the_pages_be_as_they_are(start_server: Callable[..., str], browser: Any) -> None:
    address = start_server()
    for path in (*PAGES[:4], "/report?run=run-1"):
        assert browser.list_complaints(address + path) == [], path
    report = browser.dump_dom(f"{address}/report?run=run-1")
    assert re.search(r'<table class="confusion[^>]* role="grid"', report)


def test_the_command_serves_until_it_is_interrupted(four_runs: Any) -> None:
    command = [sys.executable, "-m", "pipeline", "ui", "--port", "0", "-w", str(four_runs.workspace)]
    process = subprocess.Popen(
        command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+/", line)
        assert address is not None, line
        assert "run-4" in httpx.get(address[0]).text
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.wait()


def test_a_taken_port_ends_with_a_sentence(four_runs: Any) -> None:
    with serve.bind(0) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "pipeline", "ui", "--port", port, "-w", str(four_runs.workspace)]
        done = subprocess.run(
            command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=60
        )
    assert done.returncode == 2
    assert done.stderr.strip() == (
        f"port {port}: is in use. Take another one with --port; --port 0 takes any that is free."
    )
