"""The documents that commands print with ``--json``, and their JSON Schemas.

``deconvflow schema COMMAND`` prints one. Each document is a pydantic model that refuses unknown keys, so
a key that nobody described cannot be printed.
"""

from __future__ import annotations

from typing import Any

from pipeline.history.comparison_documents import CompareDocument
from pipeline.history.lineage_documents import LineageDocument
from pipeline.history.run_documents import Document, RunsDocument, ShowDocument

DOCUMENTS: dict[str, type[Document]] = {
    "runs": RunsDocument,
    "show": ShowDocument,
    "compare": CompareDocument,
    "lineage": LineageDocument,
}
"""The document of each command."""


def schema_of(command: str) -> dict[str, Any]:
    """Returns the JSON Schema of a command's document.

    Raises:
        KeyError: if the command has none here.
    """
    return DOCUMENTS[command].model_json_schema(mode="serialization")
