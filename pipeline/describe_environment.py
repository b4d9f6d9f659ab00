"""What a run ran on: Python, packages, processor and devices. Imports none of the packages it names."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = (
    "tensorflow",
    "keras",
    "tfx",
    "apache-beam",
    "tensorflow-transform",
    "tensorflow-data-validation",
    "tensorflow-model-analysis",
    "ml-metadata",
    "numpy",
    "protobuf",
)
_TELLING_FLAGS = ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16", "sve")
"""What decides which kernels TensorFlow takes, and so speed and the last digits of a float."""

_CPU_INFO = Path("/proc/cpuinfo")
_GPU_INFO = Path("/proc/driver/nvidia/gpus")


def describe_environment() -> dict[str, Any]:
    """Returns JSON values that are equal for two runs in the same environment."""
    packages = {name: version for name in _PACKAGES if (version := _version(name))}
    model, flags = _read_cpu(_CPU_INFO)
    return {
        "python": platform.python_version(),
        "lane": _lane(packages.get("tfx", "")),
        "packages": packages,
        "system": f"{platform.system()} {platform.machine()}, {' '.join(platform.libc_ver())}",
        "cpu": {"model": model, "flags": flags, "cores": len(os.sched_getaffinity(0))},
        "gpus": _read_gpus(_GPU_INFO),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _lane(tfx_version: str) -> str:
    """Returns the lane's name, that of the extra in pyproject.toml: ``tfx-1-16``."""
    return "-".join(["tfx", *tfx_version.split(".")[:2]]) if tfx_version else ""


def _read_cpu(path: Path) -> tuple[str, list[str]]:
    """Returns the model's name and those of the flags that tell, from the first processor's lines."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n\n")[0].splitlines()
    except OSError:
        return platform.processor(), []
    facts = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = set((facts.get("flags") or facts.get("features") or "").split())
    return facts.get("model name") or platform.processor(), [f for f in _TELLING_FLAGS if f in flags]


def _read_gpus(folder: Path) -> list[str]:
    """Returns the models that the driver knows; a device hidden by CUDA_VISIBLE_DEVICES is one of them."""
    found = []
    for path in sorted(folder.glob("*/information")):
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        found += [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
    return found
