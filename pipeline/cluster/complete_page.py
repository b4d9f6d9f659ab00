"""Makes the page of RunReport whole: what the metadata store alone knows of the run, put in at its end.

At home the runner does so when the run is over; on a cluster RunReport's step is the last one to see it.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from components.artifact_types import RunReportPage
from components.report.collect_facts import collect_facts
from components.report.render_report import render_report
from data.replace_file import replace_file
from pipeline import tracking
from pipeline.cluster.map_uris import UriMap, stage_uri
from pipeline.cluster.run_executor import Invocation
from pipeline.connect_store import open_store
from pipeline.history.explain_run import explain_run
from pipeline.history.find_sources import find_sources
from pipeline.store_address import StoreAddress
from pipeline.workspace import Workspace

_NOWHERE = Workspace(Path("/nonexistent"))
"""A cluster's run has no workspace, and no log in it."""
_LOGGER = logging.getLogger(__name__)


def complete_page(invocation: Invocation, address: StoreAddress, run_id: str) -> None:
    """Writes the page of a step that made one anew, before the launcher uploads it; never raises.

    Args:
        invocation: of a step that is recorded as complete.
        address: of the metadata store.
        run_id: the run.
    """
    pages = [
        Path(artifact.uri) / RunReportPage.FILE_NAME
        for found in invocation.outputs.values()
        for artifact in found
        if isinstance(artifact, RunReportPage)
    ]
    try:
        for page in pages:
            replace_file(page, _render(address, run_id))
    except Exception:
        # The run is over, and its outcome must not depend on its page.
        _LOGGER.exception("the report says nothing of what the metadata store knows")


def _render(address: StoreAddress, run_id: str) -> str:
    store = open_store(address)
    records = tracking.list_runs(store)
    run = next(record for record in records if record.run_id == run_id)
    uris = list[str]()

    def locate(uri: str) -> str:
        # Staged or not: nothing is fetched from where the launcher alone may read.
        uris.append(uri)
        return stage_uri(uri)

    sources = find_sources(explain_run(store, _NOWHERE, records, run, locate))
    # What is not staged here is not gone.
    made = {role: replace(one, is_gone=False) for role, one in sources.made.items()}
    facts = collect_facts(replace(sources, made=made), score_images=False)
    return UriMap(uris).restore_text(render_report(facts))
