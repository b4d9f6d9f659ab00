"""How a training job is doing: what its conditions and its pods say. Imports no TFX."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainer.run_worker import AGAIN

SUCCEEDED, FAILED = "succeeded", "failed"
_STATES = (
    ("Failed", FAILED),
    ("Succeeded", SUCCEEDED),
    ("Complete", SUCCEEDED),
    ("Suspended", "suspended"),
    ("Restarting", "restarting"),
    ("Running", "running"),
)
"""Conditions of TFJob and TrainJob and what they stand for; the first that holds counts."""
_LONGEST_LINE = 300


@dataclass(frozen=True)
class JobState:
    """What a job's status says.

    Attributes:
        name: ``created``, ``running``, ``restarting``, ``suspended``, ``succeeded`` or ``failed``.
        said: the reason and the message of the condition, on one line.
    """

    name: str
    said: str

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.name in (SUCCEEDED, FAILED)


@dataclass(frozen=True)
class FailedPod:
    """The pod that tells why a job failed: its name, its exit status, and the last line of its log."""

    name: str
    status: int
    last_line: str


def read_state(job: Mapping[str, Any]) -> JobState:
    """Reads the status of a TFJob or a TrainJob."""
    status = job.get("status") or {}
    holding = {one["type"]: one for one in status.get("conditions") or [] if one.get("status") == "True"}
    for kind, name in _STATES:
        if found := holding.get(kind):
            words = (found.get("reason"), found.get("message"))
            return JobState(name, ": ".join(_join_lines(word) for word in words if word))
    active = sum(one.get("active") or 0 for one in status.get("jobsStatus") or [])
    return JobState("running" if active else "created", "")


def is_being_deleted(job: Mapping[str, Any]) -> bool:
    """Whether somebody has deleted the job, and it only waits for its pods."""
    return bool(job.get("metadata", {}).get("deletionTimestamp"))


def describe_pods(pods: Iterable[Mapping[str, Any]]) -> str:
    """Returns what the pods do, as ``2 Running, 1 Pending (Unschedulable)``; empty without pods."""
    counts = Counter(_describe_pod(pod) for pod in pods)
    return ", ".join(f"{count} {words}" for words, count in sorted(counts.items()))


def find_failed_pod(pods: Sequence[Mapping[str, Any]]) -> FailedPod | None:
    """Returns the pod that failed first of itself; those that only lost another one come last."""
    ended = [(one, end) for one in pods for end in _list_ends(one) if end.get("exitCode")]
    if not ended:
        return None
    pod, end = min(ended, key=lambda pair: (pair[1]["exitCode"] == AGAIN, pair[1].get("finishedAt") or ""))
    lines = (end.get("message") or "").strip().splitlines()
    return FailedPod(pod["metadata"]["name"], end["exitCode"], lines[-1][:_LONGEST_LINE] if lines else "")


def _describe_pod(pod: Mapping[str, Any]) -> str:
    status = pod.get("status") or {}
    phase = str(status.get("phase") or "Pending")
    waiting = [one["state"]["waiting"].get("reason") for one in _list_containers(pod, "waiting")]
    unmet = [one.get("reason") for one in status.get("conditions") or [] if one.get("status") == "False"]
    # Where a container waits, its reason says more than what is not yet true of the pod.
    reason = next((one for one in (*waiting, *unmet) if one), None) if phase == "Pending" else None
    return f"{phase} ({reason})" if reason else phase


def _list_ends(pod: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for container in (pod.get("status") or {}).get("containerStatuses") or []:
        for key in ("state", "lastState"):
            if end := (container.get(key) or {}).get("terminated"):
                yield end


def _list_containers(pod: Mapping[str, Any], state: str) -> Iterator[Mapping[str, Any]]:
    for container in (pod.get("status") or {}).get("containerStatuses") or []:
        if state in (container.get("state") or {}):
            yield container


def _join_lines(text: str) -> str:
    return " ".join(text.split())[:_LONGEST_LINE]
