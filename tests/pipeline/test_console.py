from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline import console

REPOSITORY = Path(__file__).parents[2]

_PROGRAM = """
import logging, os, sys, warnings
from pathlib import Path
from data import progress
from pipeline import console
with console.quiet(Path(sys.argv[1]), verbose=sys.argv[2] == "verbose"):
    console.install_reporter()
    os.write(2, b"noise from C++\\n")
    print("noise from Python", file=sys.stderr)
    logging.getLogger("somebody").info("a log line")
    warnings.warn("a warning", stacklevel=1)
    console.messages.print("a message of ours")
    with progress.current().stage("work", 3) as stage:
        stage.advance(3, "done")
    print("an answer")
print("noise after", file=sys.stderr)
"""


def _run(tmp_path: Path, mode: str) -> tuple[str, str, str]:
    log = tmp_path / "logs" / "run.log"
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(log), mode],
        capture_output=True, text=True, cwd=REPOSITORY, check=True,
    )  # fmt: skip
    return done.stdout, done.stderr, log.read_text()


def test_noise_goes_to_the_log_and_messages_to_stderr(tmp_path):
    out, err, log = _run(tmp_path, "quiet")
    assert out == "an answer\n"
    assert err == "a message of ours\nnoise after\n"
    for line in ("noise from C++", "noise from Python", "somebody: a log line", "a warning"):
        assert line in log


def test_verbose_leaves_the_noise_on_stderr_too(tmp_path):
    out, err, log = _run(tmp_path, "verbose")
    assert out == "an answer\n"
    assert "noise from C++" in err
    assert "somebody: a log line" in log


def _wait_for(capsys, text: str) -> str:
    seen = ""
    for _ in range(200):
        seen += capsys.readouterr().err
        if text in seen:
            return seen
        time.sleep(0.01)
    raise AssertionError(f"{text!r} is not in {seen!r}")


def test_lines_say_how_far_long_work_is(monkeypatch, capsys):
    monkeypatch.setattr(console, "_PLAIN_INTERVAL_SECONDS", 0.01)
    reporter = console.LineReporter()
    with reporter.stage("Trainer"):
        _wait_for(capsys, "Trainer: (0 s)")
        with reporter.stage("train", 4) as stage:
            stage.advance(1, "loss 0.5")
            _wait_for(capsys, "train: 1/4 loss 0.5 (0 s)")
            stage.advance(2)
            _wait_for(capsys, "train: 3/4 loss 0.5 (0 s)")
        _wait_for(capsys, "Trainer:")
    assert not reporter._stages


def test_short_work_prints_nothing(capsys):
    with console.LineReporter().stage("quick", 2) as stage:
        stage.advance(2)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("total", [None, 5])
def test_bars_open_and_close(total):
    reporter = console.BarReporter()
    with reporter.stage("outer") as outer, reporter.stage("inner", total) as inner:
        inner.advance(2, "half way [not markup]")
        outer.advance()
        assert len(reporter._progress.tasks) == 2
    assert not reporter._progress.tasks
