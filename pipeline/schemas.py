"""The documents that commands print with ``--json``, and their JSON Schemas.

``deconvflow schema COMMAND`` prints one. Each document is a pydantic model that refuses unknown keys, so
a key that nobody described cannot be printed.
"""

from __future__ import annotations

from typing import Any

from pipeline.cluster.client_documents import ScheduleChangeDocument, ScheduleListDocument, SubmitDocument
from pipeline.cluster.compile_documents import CompileDocument, LintDocument
from pipeline.command_documents import (
    CheckDocument,
    InitDocument,
    RecognisedDocument,
    RefusalDocument,
    RunDocument,
)
from pipeline.history.comparison_documents import CompareDocument
from pipeline.history.lineage_documents import LineageDocument
from pipeline.history.report_document import ReportDocument
from pipeline.history.run_documents import Document, RunsDocument, ShowDocument
from pipeline.prediction_documents import PredictDocument, PredictedImage

DOCUMENTS: dict[str, type[Document]] = {
    "run": RunDocument,
    "check": RecognisedDocument,
    "check --config": CheckDocument,
    "init": InitDocument,
    "runs": RunsDocument,
    "show": ShowDocument,
    "compare": CompareDocument,
    "lineage": LineageDocument,
    "report": ReportDocument,
    "predict": PredictDocument,
    "predictions.jsonl": PredictedImage,
    "kubeflow compile": CompileDocument,
    "kubeflow lint": LintDocument,
    "kubeflow submit": SubmitDocument,
    "kubeflow schedule create": ScheduleChangeDocument,
    "kubeflow schedule enable": ScheduleChangeDocument,
    "kubeflow schedule disable": ScheduleChangeDocument,
    "kubeflow schedule delete": ScheduleChangeDocument,
    "kubeflow schedule list": ScheduleListDocument,
    "refusal": RefusalDocument,
}
"""The document of each command; ``refusal`` is what all of them print when they refuse."""


def schema_of(command: str) -> dict[str, Any]:
    """Returns the JSON Schema of a command's document.

    Raises:
        KeyError: if the command has none here.
    """
    return DOCUMENTS[command].model_json_schema(mode="serialization")
