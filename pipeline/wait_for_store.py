"""A store that is away for a while costs a run that while, and not the run."""

from __future__ import annotations

import logging
import time

from data import progress
from data.errors import RefusedError
from pipeline.probe_server import probe_server
from pipeline.store_address import StoreAddress

WAIT_SECONDS = 600.0
"""Restarting a database takes seconds, and moving one to another machine minutes."""
_POLL_SECONDS = 2.0


def wait_for_store(address: StoreAddress, wait_seconds: float = WAIT_SECONDS) -> None:
    """Returns as soon as a server answers; at once for a sqlite file, whose locks MLMD itself waits for.

    Raises:
        RefusedError: it did not answer in time.
    """
    if address.path is not None:
        return
    try:
        probe_server(address)
        return
    except RefusedError as error:
        logging.getLogger(__name__).warning("waiting for the metadata store: %s", error)
    deadline = time.monotonic() + wait_seconds
    with progress.current().stage("waiting for the metadata store") as stage:
        stage.advance(0, str(address))
        while True:
            try:
                return probe_server(address)
            except RefusedError:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(_POLL_SECONDS)
