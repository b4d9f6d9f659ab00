"""``deconvflow tensorboard``: the workspace's trainings in TensorBoard, on this machine only."""

from __future__ import annotations

import importlib.util
import signal
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data.errors import Problem, RefusedError
from pipeline import console, tracking
from pipeline.history.find_runs import resolve_run
from pipeline.link_events import EventLinks
from pipeline.store_address import find_store
from pipeline.workspace import Workspace

_HOST = "127.0.0.1"
_SECONDS_BETWEEN_LOOKS = 10.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def serve_tensorboard(workspace: Workspace, port: int | None, run: str | None) -> int:
    """Shows the trainings until a signal ends it. Returns the exit status.

    Args:
        workspace: its folder, and perhaps its store.
        port: 0 takes any that is free, None the usual one or one of those that follow.
        run: only this run: an id, the beginning of one, or ``latest``.

    Raises:
        RefusedError: if TensorBoard is not installed, nothing was trained, or the port is taken.
    """
    if importlib.util.find_spec("tensorboard") is None:
        what, remedy = "is not installed", "`make setup` installs it; or: uv pip install tensorboard"
        raise RefusedError([Problem("tensorboard", what, remedy, "missing_package")])
    store = tracking.open_store(find_store(workspace))
    run_id = resolve_run(tracking.list_runs(store), run).run_id if run is not None else None
    with tempfile.TemporaryDirectory(prefix="deconvflow-tensorboard-") as scratch:
        folder = Path(scratch, "runs")
        folder.mkdir()
        links = EventLinks(workspace, store, folder, run_id)
        links.refresh()
        if not links.count:
            raise RefusedError([_nothing_trained(workspace, run_id)])
        with _catch_signals() as stopped, console.quiet(Path(scratch, "tensorboard.log"), verbose=False):
            url = _launch(folder, port)
            runs = "1 run" if links.count == 1 else f"{links.count} runs"
            text = f"TensorBoard: {url} ({runs}; Ctrl-C ends it)"
            console.answers.print(text, markup=False, soft_wrap=True)
            # Runs that begin to train meanwhile appear by themselves.
            while not stopped.wait(_SECONDS_BETWEEN_LOOKS):
                links.refresh()
    # TensorBoard's helper process ends when the pipe to it does, which is when this process ends.
    warnings.simplefilter("ignore", ResourceWarning)
    return 0


def _launch(folder: Path, port: int | None) -> str:
    """Starts the server in threads of this process; returns its address."""
    from tensorboard import program  # type: ignore[import-untyped]

    board = program.TensorBoard()
    options = ["--logdir", str(folder), "--host", _HOST, "--samples_per_plugin", "images=100"]
    board.configure(argv=["tensorboard", *options, *([] if port is None else ["--port", str(port)])])
    try:
        return str(board.launch())
    except program.TensorBoardServerException as error:
        where = "TensorBoard" if port is None else f"--port {port}"
        what = f"cannot be used: {' '.join(str(error).split())}"
        remedy = "Name another --port, or 0 for any that is free"
        raise RefusedError([Problem(where, what, remedy, "bad_port")]) from error


@contextmanager
def _catch_signals() -> Iterator[threading.Event]:
    """Gives an event that SIGINT and SIGTERM set."""
    stopped = threading.Event()
    previous = {number: signal.signal(number, lambda *_: stopped.set()) for number in _SIGNALS}
    try:
        yield stopped
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _nothing_trained(workspace: Workspace, run_id: str | None) -> Problem:
    if run_id is None:
        what = "no run in it has trained yet, or what it wrote was removed"
        return Problem(str(workspace.root), what, "Start one with `deconvflow run`", "no_events")
    what = "did not get as far as training, or what it wrote was removed"
    return Problem(f"run {run_id}", what, "`deconvflow runs` lists the others", "no_events")
