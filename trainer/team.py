"""The workers that train together, this process being one of them; mostly it is the only one.

All of them run the same loop. Whatever they decide must be the same on each, or one waits for the others
without an end: the loss and the confusion matrix are sums over all workers, and of what is a worker's own
(time, checkpoints) the chief's counts.
"""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from data.batch_part import WHOLE, Part
from data.errors import Problem, RefusedError
from trainer.cluster import Cluster, read_cluster
from trainer.config import Precision
from trainer.distribution import list_training_devices, make_strategy
from trainer.meet_workers import meet_workers
from trainer.precision import PrecisionChoice, detect_precision

JOIN_SECONDS = 1800.0
"""Pods may wait for their nodes."""
_START_SECONDS = 300
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
)
_TASK = re.compile(r"/task:(\d+)")


class WorkerLostError(RuntimeError):
    """Another worker is gone. Started again, all go on from the last checkpoint."""


class Team:
    """One worker's view of all.

    Args:
        cluster: None where this process trains alone.
        strategy: over all workers; None chooses one of this process's devices when it is known which.
    """

    def __init__(
        self, cluster: Cluster | None = None, strategy: tf.distribute.Strategy | None = None
    ) -> None:
        self._cluster, self._strategy = cluster, strategy
        self._now_seconds = 0.0

    @property
    def size(self) -> int:
        """The number of workers."""
        return len(self._cluster.addresses) if self._cluster else 1

    @property
    def is_chief(self) -> bool:
        """Whether this worker writes checkpoints, records and the model."""
        return self._cluster is None or self._cluster.is_chief

    @property
    def part(self) -> Part:
        """This worker's part of every batch."""
        return Part(self._cluster.index, self.size) if self._cluster else WHOLE

    def list_devices(self, devices: int | Literal["auto"]) -> list[str]:
        """Returns the names of all devices that train (``CPU:0``, of several workers ``worker-1/CPU:0``).

        Args:
            devices: as in ``TrainerConfig``. Each of several workers trains on all of its GPUs, or on one
                CPU device.

        Raises:
            RefusedError: there are fewer, or several workers were to leave some out.
        """
        if self._cluster is None:
            return list_training_devices(devices)
        local = list_training_devices("auto")
        if devices not in ("auto", len(local)):
            what = f"is {devices}, but each of several workers trains on all of its devices ({len(local)})"
            raise RefusedError([Problem("trainer.devices", what, "Set it to auto", "devices_of_workers")])
        return [f"worker-{index}/{device}" for index in range(self.size) for device in local]

    def make_strategy(self, devices: int | Literal["auto"]) -> tf.distribute.Strategy:
        """Returns the strategy over all devices."""
        return self._strategy or make_strategy(devices)

    def choose_precision(self, setting: Precision, devices: Sequence[str]) -> PrecisionChoice:
        """Chooses the precision by the devices; the chief's choice counts for all.

        Args:
            setting: what the configuration says.
            devices: of ``list_devices``.
        """
        local = devices[: len(devices) // self.size]
        own = detect_precision(setting, [device.rpartition("/")[2] for device in local])
        policy = self.copy_text(own.policy)
        return own if own.policy == policy else PrecisionChoice(policy, "the chief's choice")

    def now(self) -> float:
        """Returns a time in seconds that all workers agree on; it stands still between calls of ``tick``."""
        return self._now_seconds if self._cluster else time.monotonic()

    def tick(self) -> float:
        """Brings ``now`` up to the chief's clock, and returns it. All workers must call it together."""
        self._now_seconds = self.agree(time.monotonic())
        return self._now_seconds

    def agree(self, number: float) -> float:
        """Returns the chief's number. All workers must call it together, as with the rest below."""
        return float(self.copy(np.float64(number))) if self._cluster else number

    def copy(self, array: Any) -> NDArray[Any]:
        """Returns the chief's array, of a numeric type; that of the others has the same shape and type."""
        own = np.asarray(array)
        if self._strategy is None:
            return own
        # Collectives take few types. Of these, each holds all values of the other.
        wide = own.astype(np.int64 if own.dtype.kind in "biu" else np.promote_types(own.dtype, np.float32))
        sent = wide if self.is_chief else np.zeros_like(wide)
        return self._strategy.reduce("SUM", tf.constant(sent), axis=None).numpy().astype(own.dtype)

    def copy_text(self, text: str) -> str:
        """Returns the chief's text."""
        if self._cluster is None:
            return text
        encoded = np.frombuffer(text.encode(), np.uint8)
        length = int(self.agree(len(encoded)))
        sent = encoded if self.is_chief else np.zeros(length, np.uint8)
        return self.copy(sent).tobytes().decode()

    def copy_variables(self, variables: Sequence[Any]) -> None:
        """Gives variables the chief's values."""
        for variable in variables:
            variable.assign(self.copy(variable.numpy()))

    def wait(self) -> None:
        """Waits until all workers are here."""
        self.agree(0)

    def refuse_other_training(self, name: str) -> None:
        """Checks that all workers are about to train the same.

        Args:
            name: of ``checkpoints.name_training``.

        Raises:
            RefusedError: this worker is not what the chief is.
        """
        own = int(name[:12], 16)
        if self.agree(own) != own:
            what = "or the records or the code differ from the chief's on this worker"
            raise RefusedError(
                [
                    Problem(
                        "configuration", what, "Start all workers with the same command and image", "others"
                    )
                ]
            )

    @contextmanager
    def explain_loss(self) -> Iterator[None]:
        """Turns TensorFlow's errors about lost workers into a sentence.

        Raises:
            WorkerLostError: another worker is gone.
        """
        try:
            yield
        except _LOST as error:
            if self._cluster is None:
                raise
            raise WorkerLostError(self._describe_loss(str(error))) from error

    def _describe_loss(self, message: str) -> str:
        assert self._cluster is not None
        indices = {int(number) for number in _TASK.findall(message)} - {self._cluster.index}
        named = [
            f"{index} ({self._cluster.addresses[index]})" for index in sorted(indices) if index < self.size
        ]
        who = f"Worker {named[0]}" if len(named) == 1 else "Another worker"
        return (
            f"{who} of {self.size} was lost, so worker {self._cluster.index} stops. Start the same command "
            "again on all workers: training goes on from the last checkpoint."
        )


ALONE = Team()


def join_team(limit_seconds: float = JOIN_SECONDS) -> Team:
    """Meets the other workers that ``TF_CONFIG`` names. Call it before anything else uses TensorFlow.

    Args:
        limit_seconds: to wait for them at most.

    Returns:
        The same team for the same ``TF_CONFIG`` in one process; without one, a team of this process alone.

    Raises:
        RefusedError: ``TF_CONFIG`` is wrong, or TensorFlow has started already.
        WorkersMissingError: not all came.
        PortTakenError: something else listens at this worker's port.
    """
    cluster = read_cluster(os.environ)
    return _join(cluster, limit_seconds) if cluster else ALONE


@cache
def _join(cluster: Cluster, limit_seconds: float) -> Team:
    meet_workers(cluster, limit_seconds)
    with _keep_signals():
        try:
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
        except RuntimeError as error:
            what = "names several workers, but TensorFlow has already started in this process"
            remedy = "Train in a process of its own: python -m trainer.run_worker"
            raise RefusedError([Problem("TF_CONFIG", what, remedy, "started_already")]) from error
    return Team(cluster, strategy)


@contextmanager
def _keep_signals() -> Iterator[None]:
    """Ends the process if TensorFlow's start takes minutes, and keeps its hands off SIGTERM.

    It starts within seconds once all workers are there. Should one be lost meanwhile, it would wait for
    it without an end; no Python runs then, but the signal's own effect ends the process (status 142 in a
    container, for which jobs start again).
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    terminate, alarm = signal.getsignal(signal.SIGTERM), signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_START_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        for number, handler in ((signal.SIGALRM, alarm), (signal.SIGTERM, terminate)):
            with suppress(TypeError):
                signal.signal(number, handler)
