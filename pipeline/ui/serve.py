"""``deconvflow ui``: serves the local pages until it is interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket

import uvicorn

from data.errors import Problem, RefusedError
from pipeline import console
from pipeline.ui.app import build_app
from pipeline.ui.history_reader import HistoryReader
from pipeline.workspace import Workspace

LOOPBACK = "127.0.0.1"


def serve_pages(workspace: Workspace, port: int) -> int:
    """Serves the pages on 127.0.0.1 until Ctrl-C. Returns the exit status.

    Args:
        workspace: its folder, and perhaps its store.
        port: 0 for any that is free.

    Raises:
        RefusedError: if there is no such store, or the port is taken.
    """
    reader = HistoryReader(workspace)
    with contextlib.closing(bind(port)) as listening:
        bound = listening.getsockname()[1]
        server = uvicorn.Server(
            uvicorn.Config(
                build_app(reader, bound),
                log_level="critical",
                access_log=False,
                lifespan="off",
                ws="none",
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=1,
            )
        )
        console.messages.print(
            f"the runs of {workspace.root}: http://{LOOPBACK}:{bound}/ (Ctrl-C ends it)",
            markup=False,
            soft_wrap=True,
        )
        # uvicorn ends in good order and then raises what it was interrupted by.
        with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
            server.run(sockets=[listening])
    return 0


def bind(port: int) -> socket.socket:
    """Returns a socket that listens on the loopback interface, and on no other.

    Raises:
        RefusedError: if the port is taken or not allowed.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((LOOPBACK, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        what = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        remedy = "Take another one with --port; --port 0 takes any that is free"
        raise RefusedError([Problem(f"port {port}", what, remedy, "bad_port")]) from None
    return listening
