"""oneDNN's kernels are on unless the environment says otherwise, and chosen before TensorFlow is there."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["cli", "cluster.entrypoint"])
@pytest.mark.parametrize(("given", "expected"), [(None, "1"), ("0", "0")])
def test_programs_prefer_onednn_unless_told_otherwise(module: str, given: str | None, expected: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    if given is not None:
        environment["TF_ENABLE_ONEDNN_OPTS"] = given
    code = f"""
import os, sys
from pipeline.{module} import main
assert os.environ.get("TF_ENABLE_ONEDNN_OPTS") == {given!r}
sys.argv = ["deconvflow", "--no-such-option"]
try:
    main()
except SystemExit:
    pass
print(os.environ["TF_ENABLE_ONEDNN_OPTS"], "tensorflow" in sys.modules)
"""
    answer = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert answer.stdout.splitlines()[-1].split() == [expected, "False"], answer.stderr
