"""The benchmarks' entry."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def test_bench_refuses_a_measurement_that_it_does_not_have() -> None:
    program = REPOSITORY / "tests/benchmarks/run.py"
    done = subprocess.run([sys.executable, str(program), "--only", "luck"], capture_output=True, text=True)

    assert done.returncode == 2
    assert "luck" in done.stderr
    assert "training" in done.stderr
