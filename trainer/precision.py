"""Which precision suits the hardware. Half precision only where the silicon has it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import tensorflow as tf

from trainer.config import Precision

_LOGGER = logging.getLogger(__name__)

_CPU_FLAGS = {
    "mixed_bfloat16": ("amx_bf16", "avx512_bf16"),
    "mixed_float16": ("amx_fp16", "avx512_fp16"),
}
_BFLOAT16_CAPABILITY = (8, 0)
_FLOAT16_CAPABILITY = (7, 0)
_CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class PrecisionChoice:
    """A dtype policy and why it was chosen.

    Attributes:
        policy: ``float32``, ``mixed_bfloat16`` or ``mixed_float16``.
        reason: a phrase for the run's record.
    """

    policy: str
    reason: str

    @property
    def scales_loss(self) -> bool:
        """Whether gradients would underflow without loss scaling."""
        return self.policy == "mixed_float16"


def choose_precision(
    setting: Precision, gpu_capabilities: Sequence[tuple[int, int] | None], cpu_flags: Collection[str]
) -> PrecisionChoice:
    """Chooses the precision of training.

    Args:
        setting: what the configuration says; obeyed, but for half precision on CPUs that have none.
        gpu_capabilities: compute capability (major, minor) of each training GPU, None if unknown; empty
            if the CPU trains.
        cpu_flags: the CPU's instruction sets, as in /proc/cpuinfo.

    Returns:
        bfloat16 on CPUs with AMX or AVX-512 BF16 and on GPUs of capability 8.0 or more, float16 on GPUs
        of 7.0 or more, float32 elsewhere. The weakest GPU decides. A CPU without instructions for a half
        precision trains in float32 even where the configuration asks for it: it would emulate each product,
        at a fraction of float32's speed, for a coarser result.
    """
    if setting != "auto":
        return _choose_as_configured(setting, bool(gpu_capabilities), cpu_flags)
    if gpu_capabilities:
        if any(capability is None for capability in gpu_capabilities):
            return PrecisionChoice("float32", "the GPU's compute capability is unknown")
        weakest = min(cast("Sequence[tuple[int, int]]", gpu_capabilities))
        named = f"GPU of compute capability {weakest[0]}.{weakest[1]}"
        if weakest >= _BFLOAT16_CAPABILITY:
            return PrecisionChoice("mixed_bfloat16", named)
        if weakest >= _FLOAT16_CAPABILITY:
            return PrecisionChoice("mixed_float16", named)
        return PrecisionChoice("float32", f"{named}, which has no fast half precision")
    if found := [flag for flag in _CPU_FLAGS["mixed_bfloat16"] if flag in cpu_flags]:
        return PrecisionChoice("mixed_bfloat16", f"CPU with {', '.join(found)}")
    return PrecisionChoice("float32", f"CPU without {' or '.join(_CPU_FLAGS['mixed_bfloat16'])}")


def _choose_as_configured(setting: Precision, has_gpus: bool, cpu_flags: Collection[str]) -> PrecisionChoice:
    """Returns what is set, unless the CPU trains and would have to emulate it."""
    flags = _CPU_FLAGS.get(setting, ())
    if has_gpus or not flags or any(flag in cpu_flags for flag in flags):
        return PrecisionChoice(setting, "set in the configuration (trainer.precision)")
    reason = f"CPU without {' or '.join(flags)}, which would emulate the {setting} of trainer.precision"
    return PrecisionChoice("float32", reason)


def detect_precision(setting: Precision, devices: Sequence[str]) -> PrecisionChoice:
    """Chooses the precision for the devices of ``distribution.list_training_devices``."""
    choice = choose_precision(setting, read_gpu_capabilities(devices), read_cpu_flags())
    if setting not in ("auto", choice.policy):
        _LOGGER.warning("Training in %s: %s.", choice.policy, choice.reason)
    return choice


def read_cpu_flags(cpu_info: Path = _CPU_INFO) -> frozenset[str]:
    """Returns the CPU's instruction set flags, empty where the file is absent (not Linux)."""
    try:
        lines = cpu_info.read_text().splitlines()
    except OSError:
        return frozenset()
    flags = [line.partition(":")[2].split() for line in lines if line.split(":")[0].strip() == "flags"]
    # Every core must have them.
    return frozenset.intersection(*map(frozenset, flags)) if flags else frozenset()


def read_gpu_capabilities(devices: Sequence[str]) -> list[tuple[int, int] | None]:
    """Returns the compute capability of each ``GPU:<n>`` among the devices."""
    physical = tf.config.list_physical_devices("GPU")
    indices = [int(name.partition(":")[2]) for name in devices if name.startswith("GPU:")]
    return [
        tf.config.experimental.get_device_details(physical[index]).get("compute_capability")
        for index in indices
    ]
