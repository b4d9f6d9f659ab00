"""From a planned training job to its end: made or taken up, waited for, explained where it failed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from data.errors import Problem, RefusedError
from pipeline.cluster.job_api import JobApi, Pace, TrainingJobError
from pipeline.cluster.job_resources import JobPlan
from pipeline.cluster.job_state import (
    FAILED,
    SUCCEEDED,
    FailedPod,
    JobState,
    describe_pods,
    find_failed_pod,
    is_being_deleted,
    read_state,
)
from trainer.run_worker import REFUSED

_LOGGER = logging.getLogger("pipeline.cluster.training_job")
_SIGHT_PAUSES = 4
"""What was written elsewhere is looked for as long as so many of the longest pauses."""
_STOPPING_SECONDS = 15.0
"""For deleting the job of a step that was told to stop; Kubernetes leaves it half a minute in all."""


class JobFollower:
    """Sees one training job through.

    Args:
        plan: the job.
        api: to its resources.
        pace: how often to look.
    """

    def __init__(self, plan: JobPlan, api: JobApi, pace: Pace) -> None:
        self._plan, self._api, self._pace = plan, api, pace

    def run(self, prepare: Callable[[], None], is_complete: Callable[[], bool]) -> None:
        """Makes the job, or takes up that of an earlier attempt of this step, and waits for its end.

        Args:
            prepare: puts what the workers read in its place; called before a job is made.
            is_complete: whether what the workers write is there.

        Raises:
            RefusedError: the API or a worker refused.
            TrainingJobError: the job failed or was deleted, or the API does not answer.
            KeyboardInterrupt: this step was told to stop; the job is deleted then.
        """
        try:
            last = self._take_up(is_complete)
            if last is None:
                prepare()
                self._api.create()
                last = "created"
                self._say(last)
            self._wait(last)
        except KeyboardInterrupt:
            self._stop()
            raise
        if not self._is_soon(is_complete):
            raise TrainingJobError(
                f"{self._plan.title} ended well, but left no model in the folder that it shares with the "
                "step. Do the workers mount the volume of kubeflow.checkpoint_root?"
            )

    def _take_up(self, is_complete: Callable[[], bool]) -> str | None:
        """Returns the state of a job to wait for; None without one. One that is of no use is deleted."""
        job = self._api.read()
        if job is None:
            return None
        state = read_state(job)
        is_lost = state.name == SUCCEEDED and not is_complete()
        if not (is_being_deleted(job) or state.name == FAILED or is_lost):
            self._say(f"taken up: {state.name}")
            return state.name
        self._say(f"an earlier one {state.name}; made again")
        self._api.delete()
        self._wait_until_gone()
        return None

    def _is_soon(self, is_complete: Callable[[], bool]) -> bool:
        """Whether what the workers wrote is there, or comes in sight: network file systems take a while."""
        deadline = time.monotonic() + _SIGHT_PAUSES * self._pace.longest_seconds
        while not is_complete():
            if time.monotonic() >= deadline:
                return False
            time.sleep(self._pace.first_seconds)
        return True

    def _wait_until_gone(self) -> None:
        deadline, pause = time.monotonic() + self._pace.patience_seconds, self._pace.first_seconds
        while self._api.read() is not None:
            if time.monotonic() >= deadline:
                raise TrainingJobError(
                    f"{self._plan.title} was deleted and does not go. Look at its finalizers: kubectl -n "
                    f"{self._plan.namespace} describe {self._plan.kind} {self._plan.name}"
                )
            time.sleep(pause)
            pause = self._pace.lengthen(pause)

    def _wait(self, last: str) -> None:
        """Waits for the end of the job, and says what changes from the last words on."""
        pause = self._pace.first_seconds
        while True:
            job = self._api.read()
            if job is None:
                raise TrainingJobError(
                    f"{self._plan.title} in the namespace {self._plan.namespace} was deleted from outside. "
                    "Start the step again: training goes on from the last checkpoint."
                )
            state, pods = read_state(job), self._api.list_pods()
            words = ", ".join(text for text in (state.name, describe_pods(pods)) if text)
            if words != last:
                self._say(words)
                last, pause = words, self._pace.first_seconds
            if state.name == FAILED:
                raise self._explain(state, find_failed_pod(pods))
            if state.has_ended:
                return
            time.sleep(pause)
            pause = self._pace.lengthen(pause)

    def _explain(self, state: JobState, pod: FailedPod | None) -> Exception:
        plan = self._plan
        if pod is None:
            look = f"kubectl -n {plan.namespace} get pods -l {plan.pod_selector}"
            return TrainingJobError(f"{plan.title} failed ({state.said}). Look at its pods: {look}")
        look = f"kubectl -n {plan.namespace} logs {pod.name}"
        words = f": {pod.last_line.rstrip('.')}" if pod.last_line else ""
        if pod.status == REFUSED:
            what = f"was refused by the worker {pod.name}{words}"
            return RefusedError([Problem(plan.title, what, f"See {look}", "worker_refused")])
        return TrainingJobError(
            f"{plan.title} failed ({state.said}). The pod {pod.name} ended with status {pod.status}{words}. "
            f"See {look}"
        )

    def _stop(self) -> None:
        """Deletes the job: nobody waits for it any more. What it saved, the next attempt goes on from."""
        self._say("deleted, as this step was stopped")
        try:
            self._api.delete(_STOPPING_SECONDS)
        except (TrainingJobError, RefusedError) as error:
            _LOGGER.warning("%s is left behind: %s", self._plan.title, error)

    def _say(self, words: str) -> None:
        _LOGGER.info("%s: %s", self._plan.title, words)
