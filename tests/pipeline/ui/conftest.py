"""The local pages over a history of four runs, asked in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from pipeline.ui.app import build_app
from pipeline.ui.history_reader import HistoryReader
from pipeline.workspace import Workspace

PORT = 8765


@pytest.fixture
def open_client() -> Callable[..., TestClient]:
    """Makes a client that asks as a user's browser does."""

    def open_pages(history: Any, **options: Any) -> TestClient:
        app = build_app(HistoryReader(Workspace(history.workspace)), PORT)
        return TestClient(app, base_url=f"http://127.0.0.1:{PORT}", **options)

    return open_pages


@pytest.fixture
def four_runs(lasting_runs: Any) -> Any:
    """Pages change nothing, and so all tests read one history."""
    return lasting_runs


@pytest.fixture
def client(four_runs: Any, open_client: Callable[..., TestClient]) -> TestClient:
    return open_client(four_runs)
