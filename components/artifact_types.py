"""Types of the artifacts that TFX has no type for."""

from __future__ import annotations

from tfx.types import artifact


class DatasetSnapshotArtifact(artifact.Artifact):
    """What a data set's files were: ``snapshot.jsonl``, a line a pair with id, split, digests and paths."""

    TYPE_NAME = "DatasetSnapshot"
    FILE_NAME = "snapshot.jsonl"
    PROPERTIES = {  # noqa: RUF012 - TFX's own form
        "fingerprint": artifact.Property(type=artifact.PropertyType.STRING),
        "pairs": artifact.Property(type=artifact.PropertyType.INT),
    }


class DataGateReport(artifact.Artifact):
    """What the data gate saw: ``report.json``."""

    TYPE_NAME = "DataGateReport"
    FILE_NAME = "report.json"
    PROPERTIES = {  # noqa: RUF012 - TFX's own form
        "passed": artifact.Property(type=artifact.PropertyType.INT),
    }


class RunReportPage(artifact.Artifact):
    """The page that explains a run: ``index.html``."""

    TYPE_NAME = "RunReportPage"
    FILE_NAME = "index.html"
