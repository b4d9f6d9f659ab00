"""The local pages and the terminal before hostile names and hostile requests.

The history holds a run in which everything that people name is an attack: on pages (tags, attributes,
templates), on terminals (escape sequences, rich's markup) and on readers (letters that run backwards).
"""

from __future__ import annotations

import contextlib
import hashlib
import html.parser
import importlib.util
import itertools
import os
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from pipeline import cli, console
from pipeline.ui.app import build_app
from pipeline.ui.history_reader import HistoryReader
from pipeline.workspace import Workspace

REPOSITORY = Path(__file__).resolve().parents[2]
PORT = 8765
OWN = f"127.0.0.1:{PORT}"
ATTACK = "<zq onx=1>\"'`{{7*7}}</script>\x1b[5m\x1b]0;t\x07\x9b5m\r[blink]x[/blink]\u202e\u2066"
CLASS = "<script>alert(1)<zq onx=1>\"'{{7*7}}\x9b5m[blink]\u202e"
"""As far as the class table takes it."""
ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]")
MAX_EXAMPLES = int(os.environ.get("DECONVFLOW_FUZZ_EXAMPLES", "30"))
ROUTES = ("/", "/runs", "/show", "/compare", "/lineage", "/lineage.svg", "/report", "/style.css")


@pytest.fixture(scope="module")
def writing() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location(
        "hostile_history_store", REPOSITORY / "tests/benchmarks/history_store.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def workspace(writing: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A history of three runs: an ordinary one, and two whose names are attacks."""
    folder = tmp_path_factory.mktemp("workspace")
    history = writing.HistoryStore(folder)
    history.register_types()
    configuration = writing.make_configuration()
    configuration["data"]["classes"][1]["name"] = CLASS
    configuration["transform"] = {ATTACK: [ATTACK]}
    pairs = ((ATTACK, "train", f"{ATTACK}.png", f"{ATTACK}_mask.png"), *writing.make_pairs())
    code = {f"data/{ATTACK}.py": "1" * 64}
    environment = {"python": ATTACK, "packages": {ATTACK: ATTACK}}
    hostile = {"configuration": configuration, "pairs": pairs, "code": code, "environment": environment}
    history.add_runs(
        [
            writing.PlannedRun("plain"),
            writing.PlannedRun(f"good{ATTACK}", **hostile),
            writing.PlannedRun(f"bad{ATTACK}", **hostile, status="failed", error=ATTACK, fails_at="Trainer"),
        ]
    )
    return folder


@pytest.fixture(scope="module")
def app(workspace: Path) -> Any:
    return build_app(HistoryReader(Workspace(workspace)), PORT)


@pytest.fixture(scope="module")
def client(app: Any) -> TestClient:
    return TestClient(app, base_url=f"http://{OWN}")


def hash_files(folder: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


class _Tags(html.parser.HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


def check_answer(answer: Any, is_report: bool) -> None:
    """Whatever is answered acts on nothing and lets in nobody."""
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'") and "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "set-cookie" not in answer.headers and "location" not in answer.headers
    assert "access-control-allow-origin" not in answer.headers
    assert "Traceback" not in answer.text
    kind = answer.headers["content-type"].split(";")[0]
    if kind == "text/html":
        page = _Tags(answer.text)
        assert not {"zq", "iframe", "object", "embed", "base"} & set(page.tags), answer.text[-500:]
        assert page.tags.count("script") == (1 if is_report else 0)
        assert not [name for name, _ in page.attributes if name.startswith("on")]
        places = [value for name, value in page.attributes if name in ("href", "src", "action")]
        assert all(value == "data:," or value.startswith(("/", "#", "data:image/")) for value in places), (
            places
        )
        assert not any(value.startswith("//") for value in places)
        assert not ACTING.search(answer.text)
        assert "49" not in [part for part in re.findall(r"`(\d+)</", answer.text)]
    elif kind == "image/svg+xml":
        tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(answer.text).iter()}
        assert tags <= {"svg", "title", "style", "defs", "marker", "path", "text", "g", "rect", "tspan"}
        assert not ACTING.search(answer.text)
    else:
        assert kind in ("application/json", "text/css", "text/plain")


def test_every_route_reads_only(app: Any) -> None:
    assert {route.path.removesuffix(".json") for route in app.app.routes} == set(ROUTES)
    assert all(route.methods <= {"GET", "HEAD"} for route in app.app.routes)


def test_pages_of_hostile_runs_are_whole_and_escaped(client: TestClient, workspace: Path) -> None:
    before = hash_files(workspace)
    good, bad = f"good{ATTACK}", f"bad{ATTACK}"
    asked: list[tuple[str, dict[str, Any]]] = [
        ("/", {}),
        ("/runs", {"pipeline": ATTACK, "split": "test"}),
        *itertools.product(("/show", "/report"), ({"run": good}, {"run": bad})),
        ("/compare", {"run": ["plain", good, bad]}),
        ("/lineage", {"of": good, "as": "run"}),
        ("/lineage", {"of": ATTACK, "as": "image"}),
        ("/lineage", {"of": ATTACK}),
        ("/lineage.svg", {"of": good, "as": "run"}),
        ("/lineage.svg", {"of": ATTACK, "as": "image"}),
    ]
    for path, query in asked:
        answer = client.get(path, params=query)
        assert answer.status_code == 200, (path, query)
        check_answer(answer, path == "/report")
        if query and path != "/runs":
            assert "&lt;zq onx=1&gt;" in answer.text, path
            assert r"\x1b[5m" in answer.text and r"\u202e" in answer.text, path
        if path != "/lineage.svg" and path != "/report" and query:
            assert isinstance(client.get(f"{path}.json", params=query).json(), dict)
    assert hash_files(workspace) == before


NAMES = ("run", "of", "as", "page", "sort", "status", "since", "blessed", "split", "pipeline", "order", "zq")
NASTY = (
    *("", "plain", "latest", f"good{ATTACK}", ATTACK, "boxes/1", "1", "run", "image", "model", "mean_iou"),
    *("../" * 9 + "etc/passwd", "..%2f..%2fetc%2fpasswd", "file:///etc/passwd", "\0", "%", "%zz", "{{7*7}}"),
    *("-1", "1e9", "9" * 5000, "7d", "9" * 30 + "w", "2024-13-41", "x" * 5000, "\u202e", "yes", "\u0663"),
    *("\r\nSet-Cookie: a=b", "iou/<zq>"),
)
TEXTS = st.one_of(st.sampled_from(NASTY), st.text(max_size=20))
BEHIND = ("/../../etc/passwd", "/%2e%2e/x", "%00", "//evil.example", ";x", ".JSON")
PATHS = st.one_of(
    st.sampled_from([route for name in ROUTES for route in (name, f"{name}.json")]),
    st.builds(
        lambda route, junk: route + quote(junk, safe="/%"),
        st.sampled_from(ROUTES),
        st.one_of(st.sampled_from(BEHIND), TEXTS),
    ),
    st.binary(max_size=12).map(lambda raw: "/" + quote(raw)),
)
LATIN = st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_categories=["Cc"])
HEADERS = st.text(LATIN, max_size=15)
OTHER_HOSTS = ("evil.example", f"{OWN}.evil.example", f"evil@{OWN}")
HOSTS = st.one_of(st.sampled_from((OWN, f"LOCALHOST:{PORT}", f"[::1]:{PORT}", *OTHER_HOSTS)), HEADERS)
OTHER_ORIGINS = (f"https://{OWN}", "null", "http://evil.example", f"http://{OWN}.evil.example")
ORIGINS = st.one_of(st.sampled_from((f"http://{OWN}", *OTHER_ORIGINS)), HEADERS)
SITES = st.sampled_from(("same-origin", "none", "cross-site", "same-site", "", "SAME-ORIGIN", "x"))
METHODS = st.sampled_from(("GET",) * 6 + ("HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "x"))


def expect_refusal(method: str, host: str, origins: list[str], sites: list[str]) -> int | None:
    """Returns the status of what must not be answered, as the pages' documentation says it."""
    # HTTP leaves out blanks around a value.
    names = {f"{name}:{PORT}" for name in ("127.0.0.1", "localhost", "[::1]")}
    if (host := host.strip().lower()) not in names:
        return 421
    if method not in ("GET", "HEAD"):
        return 405
    foreign = any(origin.strip().lower() != f"http://{host}" for origin in origins)
    return 403 if foreign or any(site.lower() not in ("same-origin", "none") for site in sites) else None


@settings(max_examples=MAX_EXAMPLES, deadline=None)
@given(
    path=PATHS,
    query=st.lists(st.tuples(st.sampled_from(NAMES), TEXTS), max_size=4),
    method=METHODS,
    host=st.one_of(st.just(OWN), HOSTS),
    origins=st.lists(ORIGINS, max_size=2),
    sites=st.lists(SITES, max_size=2),
)
def test_no_request_is_a_fault_or_gets_what_is_not_its_own(
    client: TestClient, path: str, query: Any, method: str, host: str, origins: list[str], sites: list[str]
) -> None:
    pairs = [("host", host), *(("origin", one) for one in origins)]
    pairs += [("sec-fetch-site", one) for one in sites]
    headers = [(name.encode(), value.encode("latin-1")) for name, value in pairs]
    answer = client.request(method, f"http://{OWN}{path}", params=query, headers=headers)  # type: ignore[arg-type]
    refusal = expect_refusal(method, host, origins, sites)

    if refusal is not None:
        assert answer.status_code == refusal, (host, origins, sites)
        assert "plain" not in answer.text or "href" in answer.text  # Nothing of the history.
    else:
        assert answer.status_code in (200, 400, 404), (path, query, answer.text[-300:])
    if method != "HEAD":
        check_answer(answer, answer.status_code == 200 and path == "/report")


@settings(max_examples=MAX_EXAMPLES, deadline=None)
@given(path=PATHS, query=st.lists(st.tuples(st.sampled_from(NAMES), TEXTS), max_size=4))
def test_no_query_of_the_user_is_a_fault(client: TestClient, path: str, query: Any) -> None:
    answer = client.get(f"http://{OWN}{path}", params=query)

    assert answer.status_code in (200, 400, 404), (path, query, answer.text[-300:])
    check_answer(answer, answer.status_code == 200 and path == "/report")


def test_the_fuzzer_changed_nothing(workspace: Path, client: TestClient) -> None:
    before = hash_files(workspace)
    for route, method in itertools.product(ROUTES, ("POST", "PUT", "DELETE", "GET")):
        client.request(method, route, params={"run": f"good{ATTACK}"})

    assert hash_files(workspace) == before


@pytest.fixture
def call(
    workspace: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """Calls a command as on a terminal of its own; returns all that the terminal would get."""
    colours = {"force_terminal": True, "color_system": "standard", "highlight": False, "width": 400}
    monkeypatch.setattr(console, "answers", type(console.answers)(**colours))
    monkeypatch.setattr(console, "messages", type(console.messages)(stderr=True, **colours))

    def run(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["deconvflow", *words, "--workspace", str(workspace)])
        capfd.readouterr()
        with contextlib.suppress(SystemExit):
            cli.run_app(lambda: cli.app(standalone_mode=True))
        out, err = capfd.readouterr()
        return out + err

    return run


@pytest.mark.parametrize(
    "words",
    [
        ("runs",),
        ("show", f"good{ATTACK}"),
        ("show", f"bad{ATTACK}"),
        ("show", f"good{ATTACK}", "--component", "Transform"),
        ("show", ATTACK),
        ("compare", "plain", f"good{ATTACK}", f"bad{ATTACK}"),
        ("lineage", f"good{ATTACK}", "--all-images"),
        ("lineage", ATTACK),
        ("predict", "--model", ATTACK, "--out", "unused", ATTACK),
    ],
    ids=lambda words: "-".join(words)[:14].encode("ascii", "ignore").decode().replace("/", ""),
)
def test_nothing_that_a_name_holds_acts_on_the_terminal(call: Callable[..., str], words: Any) -> None:
    shown = call(*words)

    # In JSON values, as parameters are, it is written out already.
    assert (r"\x1b[5m" in shown or r"\u001b[5m" in shown) and "[blink]" in shown
    # Bold, dim and colours are ours; blinking, titles, bells and returns are not.
    ours = re.sub(r"\x1b\[[0-4;]*(?:3[0-9]|9[0-7])?(?:;[0-9]+)*m", "", shown)
    assert "\x1b[5m" not in shown and not ACTING.search(ours), repr(ACTING.search(ours))
