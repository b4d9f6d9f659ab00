"""What a run ran on, from files like those of the kernel and of NVIDIA's driver."""

from __future__ import annotations

import json
import sys
from importlib import metadata

import pytest

from pipeline import describe_environment as module
from pipeline.describe_environment import describe_environment

_TWO_PROCESSORS = """\
processor\t: 0
model name\t: Xeon of the tests
flags\t\t: fpu avx2 amx_bf16 sse fma

processor\t: 1
model name\t: another
flags\t\t: avx512f
"""


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(module, "_GPU_INFO", tmp_path / "gpus")
    return tmp_path


def test_the_processor_is_named_with_the_flags_that_tell(kernel):
    (kernel / "cpuinfo").write_text(_TWO_PROCESSORS)
    cpu = describe_environment()["cpu"]
    assert (cpu["model"], cpu["flags"]) == ("Xeon of the tests", ["avx2", "fma", "amx_bf16"])


def test_an_arm_processor_has_features_and_no_name(kernel):
    (kernel / "cpuinfo").write_text("processor : 0\nFeatures : fp asimd bf16\n")
    assert describe_environment()["cpu"]["flags"] == ["asimd", "bf16"]


def test_each_gpu_of_the_driver_is_named(kernel):
    for bus in ("0000:01:00.0", "0000:02:00.0"):
        (kernel / "gpus" / bus).mkdir(parents=True)
        (kernel / "gpus" / bus / "information").write_text("Model: \t\t A100\nIRQ:   1\n")
    assert describe_environment()["gpus"] == ["A100", "A100"]


def test_a_machine_without_these_files_is_described_too(kernel):
    document = describe_environment()
    assert (document["gpus"], document["cpu"]["flags"]) == ([], [])


def test_two_descriptions_of_one_machine_are_equal_json():
    document = describe_environment()
    assert json.loads(json.dumps(document)) == describe_environment()
    assert document["python"] == ".".join(str(part) for part in sys.version_info[:3])
    assert document["packages"]["numpy"] == metadata.version("numpy")
    assert document["lane"] in ("tfx-1-16", "tfx-1-21")
