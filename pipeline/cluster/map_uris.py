"""Artifact URIs of object stores, and the local folders where the backend's launcher stages them.

The launcher downloads inputs to ``/minio/bucket/path``, ``/s3/bucket/path`` and ``/gcs/bucket/path``, and
uploads what a step wrote there. TFX opens the URI itself, and TensorFlow knows neither ``minio://`` nor
``s3://``; so a step works on the folders, and only the URIs are handed on and recorded.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

STAGING_VARIABLE = "DECONVFLOW_STAGING_ROOT"
"""Where ``minio``, ``s3`` and ``gcs`` are, if not at the root of the file system."""

_FOLDERS = {"minio": "minio", "s3": "s3", "gs": "gcs"}


def stage_uri(uri: str, root: str | None = None) -> str:
    """Returns the local path of what the launcher stages; any other URI as it is.

    Args:
        uri: of an artifact.
        root: folder of the staging folders; what the environment says if None.
    """
    scheme, separator, path = uri.partition("://")
    if not separator or scheme not in _FOLDERS:
        return uri
    root = os.environ.get(STAGING_VARIABLE, "/") if root is None else root
    return f"{root.rstrip('/')}/{_FOLDERS[scheme]}/{path}"


class UriMap:
    """The URIs of one step's artifacts, there and back."""

    def __init__(self, uris: Iterable[str], root: str | None = None) -> None:
        pairs = {uri: stage_uri(uri, root) for uri in uris if uri}
        # Longest first: what lies in a folder that lies in another one belongs to the inner one.
        self._original = {
            local: uri for uri, local in sorted(pairs.items(), key=lambda pair: -len(pair[1])) if local != uri
        }
        self._local = {uri: local for local, uri in self._original.items()}

    def stage(self, uri: str) -> str:
        """Returns the local path of an artifact."""
        return self._local.get(uri, uri)

    def restore(self, text: str) -> str:
        """Returns a text with the URI in the place of the local path that it is, or starts with."""
        for local, uri in self._original.items():
            if text == local or text.startswith(f"{local}/"):
                return uri + text[len(local) :]
        return text

    def restore_text(self, text: str) -> str:
        """Returns a text with the URIs in the place of the local paths wherever they stand in it."""
        for local, uri in self._original.items():
            text = text.replace(local, uri)
        return text

    def restore_all(self, value: Any) -> Any:
        """Returns a JSON value with every text in it restored."""
        if isinstance(value, str):
            return self.restore(value)
        if isinstance(value, Mapping):
            return {key: self.restore_all(child) for key, child in value.items()}
        if isinstance(value, list):
            return [self.restore_all(child) for child in value]
        return value
