"""Whatever is asked of the local pages, the answer is a page or a sentence, never a fault."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

pytestmark = pytest.mark.slow

ROUTES = ("/", "/runs", "/show", "/compare", "/lineage", "/report", "/lineage.svg")
NAMES = ("run", "of", "as", "page", "sort", "status", "since", "blessed", "split", "pipeline", "order", "x")
KNOWN = ("run-1", "run-3", "latest", "run", "boxes/1", "1", "train/scene_000", "image", "mean_iou", "iou/box")
TEXTS = st.one_of(
    st.sampled_from(KNOWN),
    st.text(max_size=30),
    st.sampled_from(
        ["-1", "1e9", "٣", "9" * 400, "\0", "../" * 9, "<script>", "%", "{{7*7}}", "7d", "99999999w"]
    ),
)


@pytest.mark.parametrize("ending", ["", ".json"])
@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(route=st.sampled_from(ROUTES), query=st.lists(st.tuples(st.sampled_from(NAMES), TEXTS), max_size=5))
def test_no_query_is_a_fault(
    client: TestClient, ending: str, route: str, query: list[tuple[str, str]]
) -> None:
    if ending and route in ("/", "/report", "/lineage.svg"):
        route = "/runs"
    answer = client.get(route + ending, params=query)

    assert answer.status_code in (200, 400, 404), (route, query, answer.text[-300:])
    is_page = answer.headers["content-type"].startswith("text/html") and route != "/report"
    assert not is_page or "<script>" not in answer.text
    if ending:
        assert isinstance(answer.json(), dict)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.text(max_size=40), raw=st.binary(max_size=20))
def test_no_path_is_a_fault(client: TestClient, path: str, raw: bytes) -> None:
    for asked in (f"/{quote(path, safe='')}", f"/show?run={quote(raw)}", f"/{quote(raw)}"):
        answer = client.get(f"http://127.0.0.1:8765{asked}")
        assert answer.status_code in (200, 400, 404), asked
