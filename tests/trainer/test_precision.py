"""The choice of precision by hardware."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainer.config import Precision
from trainer.precision import choose_precision, read_cpu_flags, read_gpu_capabilities


@pytest.mark.parametrize(
    ("capabilities", "flags", "policy"),
    [
        ([], {"avx2"}, "float32"),
        ([], {"avx2", "avx512f"}, "float32"),
        ([], {"avx512_bf16"}, "mixed_bfloat16"),
        ([], {"amx_bf16", "amx_tile"}, "mixed_bfloat16"),
        ([(8, 0)], {"avx2"}, "mixed_bfloat16"),
        ([(9, 0), (8, 6)], set(), "mixed_bfloat16"),
        ([(7, 0)], {"amx_bf16"}, "mixed_float16"),
        ([(9, 0), (7, 5)], set(), "mixed_float16"),
        ([(6, 1)], {"amx_bf16"}, "float32"),
        ([None], {"amx_bf16"}, "float32"),
    ],
)
def test_auto_follows_the_weakest_device(
    capabilities: list[tuple[int, int] | None], flags: set[str], policy: str
) -> None:
    choice = choose_precision("auto", capabilities, flags)
    assert choice.policy == policy
    assert choice.reason


def test_configuration_is_obeyed() -> None:
    choice = choose_precision("mixed_float16", [(6, 1)], {"avx2"})
    assert choice.policy == "mixed_float16" and choice.scales_loss
    assert "trainer.precision" in choice.reason
    assert not choose_precision("float32", [(9, 0)], set()).scales_loss


@pytest.mark.parametrize(
    ("setting", "flags", "policy"),
    [
        ("mixed_bfloat16", {"avx2"}, "float32"),
        ("mixed_bfloat16", {"avx512_bf16"}, "mixed_bfloat16"),
        ("mixed_float16", {"avx2", "amx_bf16"}, "float32"),
        ("mixed_float16", {"avx512_fp16"}, "mixed_float16"),
        ("float32", {"amx_bf16"}, "float32"),
    ],
)
def test_no_cpu_emulates_half_precision(setting: Precision, flags: set[str], policy: str) -> None:
    choice = choose_precision(setting, [], flags)
    assert choice.policy == policy
    assert ("emulate" in choice.reason) == (policy != setting)


def test_reason_names_what_was_found() -> None:
    assert "amx_bf16" in choose_precision("auto", [], {"amx_bf16"}).reason
    assert "7.5" in choose_precision("auto", [(7, 5)], set()).reason


def test_flags_are_those_that_every_core_has(tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text("processor\t: 0\nflags\t\t: sse avx2 amx_bf16\n\nprocessor\t: 1\nflags\t\t: sse avx2\n")
    assert read_cpu_flags(file) == {"sse", "avx2"}
    assert read_cpu_flags(tmp_path / "absent") == frozenset()


def test_cpu_devices_have_no_gpu_capabilities() -> None:
    assert read_gpu_capabilities(["CPU:0", "CPU:1"]) == []
