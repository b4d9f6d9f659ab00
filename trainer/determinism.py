"""Whether a training gives the same bits again, and TensorFlow's switch for that.

On one CPU device it does: every random number follows from the seed, batches from the seed and their
numbers, and the kernels add in an order that follows from the number of threads alone. GPUs add in the order
in which their threads come, unless TensorFlow is told to take other kernels (``trainer.deterministic``).

TensorFlow asks to be told at the start of the program. In a local run one process runs every component, and
once told, TensorFlow refuses random operations without a seed, as libraries of other components may have. So
it is told for the training only, before any of the training's operations are made; what ran earlier in the
process are other operations, on the CPU.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import tensorflow as tf
from tensorflow.python.framework import config as framework_config

from trainer.config import TrainerConfig


@dataclass(frozen=True)
class Determinism:
    """Whether the same configuration, data and code give the same bits again, and why.

    Attributes:
        bit_equal: whether weights and metrics are the same in each bit.
        reason: a phrase for the run's record.
    """

    bit_equal: bool
    reason: str


def describe_determinism(config: TrainerConfig, devices: Sequence[str]) -> Determinism:
    """Tells whether a training on these devices (``GPU:0``) gives the same bits again."""
    if config.max_minutes is not None:
        return Determinism(False, "trainer.max_minutes: how far the time goes depends on the machine's speed")
    if len(devices) > 1:
        return Determinism(False, f"{len(devices)} devices: their sums are added in no fixed order")
    if not devices[0].startswith("GPU"):
        return Determinism(True, "one CPU device, on processors of the same kind and number of cores")
    if config.deterministic:
        return Determinism(True, "trainer.deterministic, on GPUs of the same kind")
    return Determinism(False, "a GPU adds in no fixed order unless trainer.deterministic is true")


@contextmanager
def force_determinism(is_forced: bool) -> Iterator[None]:
    """Makes TensorFlow's operations deterministic inside the context, if so asked.

    Operations without a deterministic kernel then fail (``UnimplementedError``).
    """
    was_forced = framework_config.is_op_determinism_enabled()
    if not is_forced or was_forced:
        yield
        return
    tf.config.experimental.enable_op_determinism()
    try:
        yield
    finally:
        # TensorFlow exports no way back.
        framework_config.disable_op_determinism()
