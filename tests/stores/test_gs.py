"""Google Cloud Storage by its own client, against a server on loopback that keeps to its JSON API."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from components.manifest import list_versions, read_manifest, verify_files
from components.push_version import ModelFacts, push_version
from data.classes import ClassTable, SegmentationClass
from data.errors import RefusedError
from data.object_store import open_bucket
from data.open_files import exists, list_files, read_bytes

TABLE = ClassTable((SegmentationClass(0, "ground", (1, 2, 3)),), 255)
FACTS = ModelFacts("scenes", "run-1", TABLE, "code-1", {"metrics": {}, "data_fingerprint": "data-1"})
PAGE = 2


class Handler(BaseHTTPRequestHandler):
    """Objects of the bucket ``bucket``; reading ``forbidden/`` is not permitted."""

    objects: dict[str, bytes]

    def _answer(self, status: int, document: Any = None, content: bytes | None = None) -> None:
        body = content if content is not None else json.dumps(document or {}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json" if content is None else "text/plain")
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, status: int, message: str) -> None:
        self._answer(status, {"error": {"code": status, "message": message}})

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        match = re.fullmatch(r"(/upload|/download)?/storage/v1/b/([^/]+)/o(?:/(.+))?", url.path)
        assert match is not None, self.path
        if match[2] != "bucket":
            self._refuse(404, "The specified bucket does not exist.")
        elif match[1] == "/upload":
            self._upload(body, query)
        elif match[3] is None:
            self._list(query)
        else:
            self._one(unquote(match[3]), is_download=match[1] == "/download")

    do_GET = do_POST = do_DELETE = _handle  # noqa: N815

    def _list(self, query: dict[str, str]) -> None:
        names = [name for name in sorted(self.objects) if name.startswith(query.get("prefix", ""))]
        start = int(query.get("pageToken", 0))
        page: dict[str, Any] = {"items": [self._describe(name) for name in names[start : start + PAGE]]}
        if start + PAGE < len(names):
            page["nextPageToken"] = str(start + PAGE)
        self._answer(200, page)

    def _describe(self, name: str) -> dict[str, str]:
        return {"name": name, "bucket": "bucket", "generation": "1", "updated": "2026-01-01T00:00:00.000Z"}

    def _upload(self, body: bytes, query: dict[str, str]) -> None:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        parts: Any = BytesParser().parsebytes(head + body).get_payload()
        metadata, content = (part.get_payload(decode=True) for part in parts)
        name = json.loads(metadata)["name"]
        if query.get("ifGenerationMatch") == "0" and name in self.objects:
            self._refuse(412, "At least one of the pre-conditions you specified did not hold.")
            return
        self.objects[name] = content
        self._answer(200, self._describe(name))

    def _one(self, name: str, is_download: bool) -> None:
        if name.startswith("forbidden/"):
            self._refuse(403, "does not have storage.objects.get access")
        elif name not in self.objects:
            self._refuse(404, f"No such object: bucket/{name}")
        elif self.command == "DELETE":
            del self.objects[name]
            self._answer(204, content=b"")
        elif is_download:
            self._answer(200, content=self.objects[name])
        else:
            self._answer(200, self._describe(name))

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def objects(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    stored: dict[str, bytes] = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"objects": stored}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
    yield stored
    server.shutdown()
    server.server_close()


def test_files_are_listed_page_by_page_and_read(objects: dict[str, bytes]) -> None:
    names = [f"set/images/{number}.png" for number in range(5)]
    objects |= {name: name.encode() for name in names} | {"settle/a.png": b""}
    tree = list_files("gs://bucket/set")
    assert tree.files == tuple(name.removeprefix("set/") for name in names)
    assert read_bytes(tree.path("images/3.png")) == b"set/images/3.png"
    assert exists("gs://bucket/set/images") and not exists("gs://bucket/set/b")
    with pytest.raises(FileNotFoundError):
        read_bytes("gs://bucket/set/none.png")


def test_what_is_wrong_is_a_sentence(objects: dict[str, bytes]) -> None:
    with pytest.raises(RefusedError, match="there is no bucket elsewhere"):
        list_files("gs://elsewhere/set")
    with pytest.raises(OSError, match="do not permit reading here"):
        read_bytes("gs://bucket/forbidden/a.png")


def test_only_the_first_conditional_write_counts(objects: dict[str, bytes]) -> None:
    store, _ = open_bucket("gs://bucket")
    assert store.write("claim", b"first", only_new=True)
    assert not store.write("claim", b"second", only_new=True)
    assert objects == {"claim": b"first"}
    store.delete(["claim", "not there"])
    assert objects == {}


def test_versions_are_pushed_whole(objects: dict[str, bytes], tmp_path: Path) -> None:
    root = "gs://bucket/serving/scenes"
    for number, weights in ((1, b"a"), (2, b"b")):
        folder = tmp_path / str(number)
        (folder / "variables").mkdir(parents=True)
        (folder / "saved_model.pb").write_bytes(b"graph")
        (folder / "variables/data").write_bytes(weights)
        pushed = push_version(root, str(folder), FACTS)
        assert (pushed.version, pushed.path) == (number, f"{root}/{number}")
        assert verify_files(pushed.path) == [] and read_manifest(pushed.path).version == number
    assert objects["serving/scenes/2/variables/data"] == b"b"
    del objects["serving/scenes/2/saved_model.pb"]
    assert list_versions(root) == (1,)
