"""What ``report --json`` prints."""

from __future__ import annotations

from pydantic import Field

from pipeline.history.run_documents import Document


class ReportDocument(Document):
    """What ``report --json`` prints."""

    run_id: str
    pipeline: str
    status: str = Field(description="running, pushed, not blessed, refused, failed or interrupted")
    path: str = Field(description="The page, an absolute path")
    num_bytes: int
    num_images: int = Field(description="Images of the gate's split that the page shows")
    missing: tuple[str, ...] = Field(description="What the page lacks and why, a sentence each")
