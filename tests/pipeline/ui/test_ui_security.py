"""The local pages answer their user's browser, and neither other sites nor other methods."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from starlette.testclient import TestClient

from data.errors import RefusedError
from pipeline.ui import serve
from pipeline.ui.app import build_app
from pipeline.ui.history_reader import HistoryReader
from pipeline.workspace import Workspace

PATHS = ("/", "/runs.json", "/report?run=run-1", "/lineage.svg?of=boxes/1", "/style.css", "/nothing")


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:8765", "LOCALHOST:8765", "[::1]:8765"])
def test_its_own_names_are_answered(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8765",
        "127.0.0.1",
        "127.0.0.1:80",
        "127.0.0.1:8765.evil.example",
        "127.0.0.1:8765@evil.example",
        "localhost.evil.example:8765",
        "127.0.0.2:8765",
        "",
    ],
)
@pytest.mark.parametrize("path", PATHS)
def test_other_names_are_refused(client: TestClient, host: str, path: str) -> None:
    assert client.get(path, headers={"Host": host}).status_code == 421


def test_the_usual_port_needs_no_number(four_runs: Any) -> None:
    app = build_app(HistoryReader(Workspace(four_runs.workspace)), 80)

    assert TestClient(app, base_url="http://localhost").get("/").status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"])
@pytest.mark.parametrize("path", ["/", "/show.json"])
def test_other_methods_are_refused(client: TestClient, method: str, path: str) -> None:
    answer = client.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:8765", "http://127.0.0.1:1"]
)
@pytest.mark.parametrize("path", PATHS)
def test_other_origins_are_refused(client: TestClient, origin: str, path: str) -> None:
    assert client.get(path, headers={"Origin": origin}).status_code == 403


def test_its_own_origin_is_answered(client: TestClient) -> None:
    assert client.get("/", headers={"Origin": "http://127.0.0.1:8765"}).status_code == 200
    mixed = {"Host": "localhost:8765", "Origin": "http://127.0.0.1:8765"}
    assert client.get("/", headers=mixed).status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
@pytest.mark.parametrize("path", PATHS)
def test_what_other_sites_cause_is_refused(client: TestClient, site: str, path: str) -> None:
    answer = client.get(path, headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"})

    assert answer.status_code == 403
    assert "run-1" not in answer.text


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_what_the_user_causes_is_answered(client: TestClient, site: str) -> None:
    assert client.get("/", headers={"Sec-Fetch-Site": site}).status_code == 200


def test_who_followed_a_link_may_go_on(client: TestClient, parse_page: Any) -> None:
    navigation = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    answer = client.get('/show?run=run-1&x="><script>', headers=navigation)
    (link,) = parse_page(answer.text).all("a")

    assert answer.status_code == 403
    assert "<script>" not in answer.text
    assert link.attributes["href"].startswith("/show?run=run-1&x=")
    assert client.get(link.attributes["href"], headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
    elsewhere = client.get("http://127.0.0.1:8765//evil.example/", headers=navigation)
    (link,) = parse_page(elsewhere.text).all("a")
    assert link.attributes["href"] == "/evil.example/"
    framed = navigation | {"Sec-Fetch-Dest": "iframe"}
    assert "href" not in client.get("/", headers=framed).text


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("headers", [{}, {"Host": "evil.example"}, {"Origin": "null"}], ids=str)
def test_every_answer_carries_the_headers(client: TestClient, path: str, headers: dict[str, str]) -> None:
    answer = client.get(path, headers=headers)
    policy = answer.headers["content-security-policy"]

    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy
    assert "script-src 'unsafe-inline'" not in policy and "unsafe-eval" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in answer.headers


def test_only_the_report_may_run_a_script_and_only_its_own(client: TestClient) -> None:
    policies = {path: client.get(path).headers["content-security-policy"] for path in PATHS}

    assert [path for path, policy in policies.items() if "script-src" in policy] == ["/report?run=run-1"]
    assert "script-src 'sha256-" in policies["/report?run=run-1"]
    assert "unsafe" not in policies["/report?run=run-1"]


@pytest.mark.parametrize(
    "run", ["../../metadata.sqlite", "/etc/passwd", "..%2f..%2fetc%2fpasswd", "file:///etc/passwd"]
)
@pytest.mark.parametrize("path", ["/report", "/show", "/lineage.svg"])
def test_no_path_leads_to_a_file(client: TestClient, path: str, run: str) -> None:
    name = "of" if path == "/lineage.svg" else "run"
    answer = client.get(f"{path}?{name}={run}")

    assert answer.status_code == 404
    assert "root:" not in answer.text


def test_a_taken_port_is_a_sentence() -> None:
    with socket.socket() as other:
        other.bind((serve.LOOPBACK, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(RefusedError, match=f"port {port}: is in use. Take another one with --port"):
            serve.bind(port)


def test_the_server_listens_on_loopback_only() -> None:
    with serve.bind(0) as listening:
        assert listening.getsockname()[0] == "127.0.0.1"


def test_a_workspace_without_runs_is_refused(tmp_path: Any) -> None:
    with pytest.raises(RefusedError, match="no run was recorded"):
        serve.serve_pages(Workspace(tmp_path / "nothing"), 0)
