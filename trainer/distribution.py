"""Which devices train: all GPUs, some, or one or several logical CPU devices."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Literal

import tensorflow as tf

from data.errors import Problem, RefusedError


def set_logical_cpus(count: int) -> None:
    """Splits the CPU into ``count`` logical devices.

    TensorFlow allows that only before its first op of the process, and other pipeline steps may run in
    the same process before training does: call it at the start of the process. Asking again for the
    number that is set already does nothing.

    Args:
        count: logical CPU devices, 1 at least.

    Raises:
        RefusedError: TensorFlow has started already with another number.
    """
    cpu = tf.config.list_physical_devices("CPU")[0]
    present = tf.config.get_logical_device_configuration(cpu) or [None]
    if len(present) == count:
        return
    try:
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration() for _ in range(count)]
        )
    except RuntimeError as error:
        raise _refuse(
            f"asks for {count} logical CPU devices, but TensorFlow has already started with {len(present)}",
            "Set them at the start of the process, before anything else uses TensorFlow",
            "logical_devices_too_late",
        ) from error


def list_training_devices(devices: int | Literal["auto"]) -> list[str]:
    """Returns the names of the devices to train on (``GPU:0``).

    Args:
        devices: as in ``TrainerConfig``: ``auto`` is all GPUs, or one CPU device without any; a number
            is so many GPUs, or so many logical CPU devices without any.

    Raises:
        RefusedError: there are fewer devices than asked for.
    """
    gpus, cpus = (tf.config.list_logical_devices(kind) for kind in ("GPU", "CPU"))
    kind, present = ("GPU", len(gpus)) if gpus else ("CPU", len(cpus))
    wanted = (present if gpus else 1) if devices == "auto" else devices
    if wanted > present:
        raise _refuse(
            f"asks for {wanted} devices, but there are {present} ({kind})",
            "Ask for fewer, or for auto"
            if gpus
            else "Ask for fewer, or call trainer.distribution.set_logical_cpus at the start of the process",
            "too_few_devices",
        )
    return [f"{kind}:{index}" for index in range(wanted)]


def make_strategy(devices: int | Literal["auto"]) -> tf.distribute.Strategy:
    """Makes the MirroredStrategy over ``list_training_devices(devices)``, once a process.

    Raises:
        RefusedError: there are fewer devices than asked for.
    """
    return _make_strategy(tuple(list_training_devices(devices)))


@cache
def _make_strategy(devices: tuple[str, ...]) -> tf.distribute.Strategy:
    # A second one over the same devices would number its collective operations from the start again, and
    # TensorFlow would take them for the first one's, of other shapes.
    return tf.distribute.MirroredStrategy(list(devices))


def sum_over_replicas(values: Any) -> Any:
    """Sums tensors over all devices; call in replica context. Gradients are summed likewise."""
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return values
    return replica.all_reduce(tf.distribute.ReduceOp.SUM, values)


def refuse_uneven_batches(batch_size: int, devices: Sequence[str]) -> None:
    """Checks that the global batch divides evenly among the devices.

    Raises:
        RefusedError: it does not.
    """
    if batch_size % len(devices):
        fitting = max(1, round(batch_size / len(devices))) * len(devices)
        problem = Problem(
            "trainer.batch_size",
            f"is {batch_size}, which does not divide evenly among {len(devices)} devices",
            f"Set it to a multiple of {len(devices)}, {fitting} for one",
            "uneven_batches",
        )
        raise RefusedError([problem])


def _refuse(what: str, remedy: str, code: str) -> RefusedError:
    return RefusedError([Problem("trainer.devices", what, remedy, code)])
