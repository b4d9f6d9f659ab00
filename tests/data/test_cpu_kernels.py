"""oneDNN's kernels are on before TensorFlow is imported, whatever package of ours comes first."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("package", ["data", "trainer", "components", "pipeline"])
@pytest.mark.parametrize(("given", "expected"), [(None, "1"), ("0", "0")])
def test_every_package_prefers_onednn_unless_told_otherwise(
    package: str, given: str | None, expected: str
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    if given is not None:
        environment["TF_ENABLE_ONEDNN_OPTS"] = given
    code = (
        f"import os, sys, {package};print(os.environ['TF_ENABLE_ONEDNN_OPTS'], 'tensorflow' in sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert answer.stdout.split() == [expected, "False"]
