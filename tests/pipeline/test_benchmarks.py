"""The benchmarks' entry: its document and its table, not its numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_quick_bench_gives_one_document_with_the_rows_of_what_was_asked(tmp_path: Path) -> None:
    program = REPOSITORY / "tests/benchmarks/run.py"
    done = subprocess.run(
        [sys.executable, str(program), "--quick", "--only", "memory", "--json", "--scratch", str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
    )

    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["quick"] is True
    assert document["failed"] == []
    (row,) = document["rows"]
    assert row["name"] == "peak memory, ingest"
    assert row["ratio"] == pytest.approx(row["measured"] / row["limit"])
    assert row["target"] == "<= 1.1"
    assert row["met"] is (row["ratio"] <= 1.1)
    # Python with TensorFlow and TFX, so no less; a peak in kilobytes or of the parent would be.
    assert 2e8 < row["peak_memory_bytes"] < 2e10
    assert list(tmp_path.iterdir()) == []


def test_bench_refuses_a_measurement_that_it_does_not_have() -> None:
    program = REPOSITORY / "tests/benchmarks/run.py"
    done = subprocess.run([sys.executable, str(program), "--only", "luck"], capture_output=True, text=True)

    assert done.returncode == 2
    assert "luck" in done.stderr
    assert "training" in done.stderr
