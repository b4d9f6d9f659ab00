"""What a page's completion may not do: fail the step, or spoil the page."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from pipeline.store_address import StoreAddress

pytestmark = pytest.mark.slow


@pytest.fixture
def report(tmp_path):
    """A page as RunReport wrote it, and the artifact that holds it."""
    from components.artifact_types import RunReportPage

    artifact = RunReportPage()
    artifact.uri = str(tmp_path / "report")
    page = tmp_path / "report" / RunReportPage.FILE_NAME
    page.parent.mkdir()
    page.write_text("as it was")
    return artifact, page


def test_without_the_store_the_page_stays_as_it_is(report, tmp_path, caplog):
    from pipeline.cluster.complete_page import complete_page

    artifact, page = report
    invocation = SimpleNamespace(outputs={"report": [artifact]})
    with caplog.at_level(logging.ERROR):
        complete_page(invocation, StoreAddress("sqlite", path=tmp_path / "gone.sqlite"), "run-1")
    assert page.read_text() == "as it was"
    assert [path.name for path in page.parent.iterdir()] == ["index.html"]
    assert "the report says nothing of what the metadata store knows" in caplog.text


def test_a_step_without_a_page_asks_no_store(caplog):
    from tfx.types import standard_artifacts

    from pipeline.cluster.complete_page import complete_page

    invocation = SimpleNamespace(outputs={"model": [standard_artifacts.Model()]})
    complete_page(invocation, None, "run-1")
    assert caplog.text == ""
