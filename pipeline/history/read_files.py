"""Reads what components left in files. What is gone or damaged becomes a sentence, never an exception."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from ml_metadata.proto import metadata_store_pb2 as pb

from data.errors import RefusedError
from data.open_files import exists, join_path, read_bytes
from data.parse_json import parse_json
from pipeline.history.lineage_documents import SourceImage

DAMAGE = (ValueError, KeyError, TypeError, AttributeError)
"""What reading values of a damaged file raises; pydantic's ValidationError is a ValueError."""

T = TypeVar("T")

SNAPSHOT_FILE = "snapshot.jsonl"
VERDICT_FILE = "verdict.json"
METRICS_FILE = "metrics.json"
GATE_FILE = "report.json"
SMOKE_TEST_FILE = "smoke_test.json"
TRAINING_FILE = "training.json"
TRIALS_FILE = "trials.json"


class FileReader:
    """Reads files of artifacts and keeps a sentence for each that could not be read."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def read_json(self, artifact: pb.Artifact | None, name: str) -> dict[str, Any]:
        """Returns the JSON object in a file of an artifact; empty if there is none."""
        if artifact is None:
            return {}
        return self.read_json_file(join_path(artifact.uri, name))

    def read_json_file(self, path: str) -> dict[str, Any]:
        """Returns the JSON object in a file; empty if there is none."""
        content = self._read(path)
        if content is None:
            return {}
        try:
            document = parse_json(content)
        except ValueError:
            document = None
        if isinstance(document, dict):
            return document
        self.note(f"{path} is damaged: it holds no JSON object.")
        return {}

    def read_snapshot(self, artifact: pb.Artifact) -> dict[str, SourceImage] | None:
        """Returns a snapshot's images by id; None if it cannot be read."""
        path = join_path(artifact.uri, SNAPSHOT_FILE)
        content = self._read(path)
        if content is None:
            return None
        try:
            return {image.id: image for image in parse_snapshot(content, artifact.id)}
        except (ValueError, KeyError, TypeError):
            self.note(f"{path} is damaged: a line of it describes no image.")
            return None

    def attempt(self, what: str, build: Callable[[], T]) -> T | None:
        """Returns what ``build`` makes of a file's values; None if they are not what they should be."""
        try:
            return build()
        except DAMAGE:
            self.note_damage(what)
            return None

    def note_damage(self, what: str) -> None:
        """Keeps the sentence that a file's values make no sense."""
        self.note(f"{what} is damaged: its values are not what they should be.")

    def read_text(self, path: str) -> str | None:
        """Returns a short text file's content without a note; None if it cannot be read."""
        try:
            return read_bytes(path).decode("utf-8", "replace")
        except (OSError, RefusedError):
            return None

    def note(self, sentence: str) -> None:
        """Keeps a sentence, once."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def _read(self, path: str) -> bytes | None:
        try:
            return read_bytes(path)
        except FileNotFoundError:
            self.note(f"{path} is not there any more: it was removed or moved.")
        except RefusedError as error:
            self.note(error.problems[0].sentence())
        except OSError as error:
            self.note(f"{path} cannot be read ({error.strerror or error}).")
        return None


def artifact_exists(artifact: pb.Artifact) -> bool:
    """Says whether an artifact's file or folder is still there."""
    try:
        return exists(artifact.uri)
    except (OSError, RefusedError):
        return False


def parse_snapshot(content: bytes, artifact_id: int) -> Iterator[SourceImage]:
    """Yields the images of a snapshot's lines.

    Raises:
        ValueError, KeyError, TypeError: a line describes no image.
    """
    for line in content.splitlines():
        row = parse_json(line)
        yield SourceImage(
            id=row["id"],
            split=row["split"],
            image_path=row["image_path"],
            mask_path=row["mask_path"],
            image_sha256=row["image_sha256"],
            mask_sha256=row["mask_sha256"],
            snapshot=artifact_id,
        )
