"""What ``kubeflow submit`` and ``kubeflow schedule`` print with ``--json``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue

from pipeline.history.run_documents import Document


class TaskDocument(Document):
    """One step of a run, as the backend tells it."""

    name: str
    state: str = Field(description="PENDING, RUNNING, SUCCEEDED, SKIPPED, FAILED, CANCELED ...")
    seconds: float | None
    error: str | None


class SubmitDocument(Document):
    """What ``kubeflow submit --json`` prints."""

    run_id: str | None = Field(description="The backend's, and the run's in the metadata store")
    run_name: str
    pipeline: str
    experiment: str
    experiment_id: str | None
    namespace: str | None
    host: str
    url: str | None = Field(description="The run's page")
    parameters: dict[str, JsonValue] = Field(description="Those that were given; the others have defaults")
    state: str | None = Field(description="The backend's word, as last heard")
    status: str | None = Field(
        description="With --wait: pushed, not blessed, refused or failed; null where nobody knows"
    )
    tasks: tuple[TaskDocument, ...] = Field(description="With --wait, in the order of their start")
    error: str | None


class ScheduleDocument(Document):
    """One schedule, as the backend keeps it."""

    schedule_id: str
    name: str
    enabled: bool
    cron: str | None = Field(description="Six fields, seconds first")
    interval_seconds: int | None
    start: str | None = Field(description="Not before this time")
    end: str | None = Field(description="Not after this time")
    max_concurrency: int | None = Field(description="So many of its runs at once")
    catch_up: bool = Field(description="Whether runs that were missed are made up for")
    pipeline: str | None
    parameters: dict[str, JsonValue]
    experiment_id: str | None
    namespace: str | None
    created: float | None = Field(description="Seconds since the epoch")
    error: str | None


class ScheduleChangeDocument(Document):
    """What ``kubeflow schedule create``, ``enable``, ``disable`` and ``delete`` print with ``--json``."""

    action: Literal["created", "replaced", "enabled", "disabled", "deleted"]
    host: str
    schedule: ScheduleDocument


class ScheduleListDocument(Document):
    """What ``kubeflow schedule list --json`` prints."""

    host: str
    schedules: tuple[ScheduleDocument, ...]
