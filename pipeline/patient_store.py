"""A store on a server that may be restarted between two questions."""

from __future__ import annotations

import re
from typing import Any

from ml_metadata import MetadataStore, errors
from ml_metadata.proto import metadata_store_pb2 as pb

from pipeline.wait_for_store import wait_for_store

_LOST = re.compile(
    r"gone away|Lost connection|server closed|terminating connection|failed to connect", re.IGNORECASE
)


class PatientStore(MetadataStore):
    """Asks again, when the server is back, what a lost connection left without an answer.

    That goes for reading only: whether something was written before the connection was lost, nobody knows,
    and to write it again might be to have it twice.
    """

    def _call_method(self, method_name: str, request: Any, response: Any) -> None:
        try:
            super()._call_method(method_name, request, response)
        except errors.StatusError as error:
            if not method_name.startswith("Get") or not _LOST.search(str(error)):
                raise
            self._connect_again()
            super()._call_method(method_name, request, response)

    def _connect_again(self) -> None:
        from pipeline.connect_store import address_of

        wait_for_store(address_of(self._config))
        if isinstance(self._config, pb.ConnectionConfig):  # A channel connects by itself.
            self._metadata_store = MetadataStore(self._config)._metadata_store
