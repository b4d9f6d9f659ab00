"""What ``kubeflow compile`` and ``kubeflow lint`` print with ``--json``."""

from __future__ import annotations

from pydantic import Field

from pipeline.command_documents import ProblemDocument
from pipeline.history.run_documents import Document


class ParameterDocument(Document):
    """One input of a compiled pipeline, which each run may set anew."""

    name: str = Field(description="As a submission names it")
    key: str = Field(description="The configuration's key that it stands for")
    type: str = Field(description="NUMBER_INTEGER, NUMBER_DOUBLE or STRING")
    default: int | float | str = Field(description="What was compiled; empty for a key that is not set")
    description: str


class CompileDocument(Document):
    """What ``kubeflow compile --json`` prints."""

    pipeline: str = Field(description="Its name")
    file: str = Field(description="The file that was written")
    sha256: str = Field(description="Of the file")
    image: str = Field(description="What every step runs")
    pipeline_root: str = Field(description="Where artifacts are kept between steps")
    steps: tuple[str, ...] = Field(description="In their order")
    parameters: tuple[ParameterDocument, ...]
    notes: tuple[str, ...] = Field(description="What to think of before a run")


class LintDocument(Document):
    """What ``kubeflow lint --json`` prints."""

    file: str
    ok: bool = Field(description="Whether there is no problem")
    tasks: int = Field(description="Of the pipeline itself")
    problems: tuple[ProblemDocument, ...]
