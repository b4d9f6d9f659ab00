"""Checkpoints of several workers: the chief's are read and written, the others take over what it has."""

from __future__ import annotations

import tensorflow as tf

from trainer.checkpoints import Checkpoints, TrainingRecord
from trainer.learner import Learner
from trainer.team import Team


class _NoFiles(Checkpoints):
    """What a worker that is not the chief keeps: nothing. Its network ends with its last weights."""

    def save_last(self) -> None:
        """Leaves it to the chief."""

    def save_best(self) -> None:
        """Leaves it to the chief."""
        self._record.best_step = int(self._learner.step)

    def restore_last(self) -> bool:
        """Leaves it to the chief."""
        return False

    def restore_best(self) -> bool:
        """Leaves it to the chief."""
        return self._record.best_step is not None

    def release(self) -> None:
        """Leaves it to the chief."""


def make_checkpoints(team: Team, folder: str, learner: Learner, record: TrainingRecord) -> Checkpoints:
    """Makes the checkpoints of this worker; only the chief needs the folder."""
    return (Checkpoints if team.is_chief else _NoFiles)(folder, learner, record)


def resume_together(team: Team, checkpoints: Checkpoints, learner: Learner, record: TrainingRecord) -> bool:
    """Goes on where the chief's last attempt stopped; returns whether there was one.

    Checkpoints are read by the chief alone and handed on through the network: whatever folder the others
    see, all start from the same state.
    """
    is_resumed = checkpoints.restore_last()
    if team.size == 1:
        return is_resumed
    if not team.agree(is_resumed):
        return False
    team.copy_variables(_list_variables(learner))
    record.deserialize(team.copy_text(record.serialize()))
    return True


def _list_variables(learner: Learner) -> list[tf.Variable]:
    variables = []
    for part in learner.trackables().values():
        if isinstance(part, list):
            variables += part
        else:
            variables += part.variables if isinstance(part, tf.Module) else [part]
    return variables
