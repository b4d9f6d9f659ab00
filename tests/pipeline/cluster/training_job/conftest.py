"""A Kubernetes API that keeps custom resources and pods, and does with them what the test says."""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from pipeline.cluster.config import KubeflowConfig
from pipeline.cluster.job_resources import JobPlan
from pipeline.cluster.worker_pod import build_worker_pod
from pipeline.lean_imports import lean_imports

KNOWN = {"kubeflow.org/v1/tfjobs", "trainer.kubeflow.org/v1alpha1/trainjobs"} | {
    "trainer.kubeflow.org/v1alpha1/trainingruntimes"
}
OBJECTS = re.compile(r"/apis/([^/]+/[^/]+)/namespaces/([^/]+)/([^/]+)(?:/([^/]+))?")
PODS = re.compile(r"/api/v1/namespaces/([^/]+)/pods")
IS_READ = re.compile(r"GET /apis/.*jobs/.*")
Answer = tuple[int, Any]


def tell(status: int, message: str, name: str = "") -> Answer:
    """Returns an error as the API puts it."""
    details = {"details": {"name": name}} if name else {}
    return status, {"kind": "Status", "status": "Failure", "message": message, "code": status, **details}


class FakeKubernetes:
    """State of an API server, and what becomes of jobs.

    Attributes:
        play: states of the job, one for each time that it is read; the last one stays.
        faults: answers that come before the true ones, by a regular expression of ``METHOD path``.
        after: called with ``METHOD path`` when a request had its effect, before the client hears of it.
    """

    def __init__(self) -> None:
        self.host = ""
        self.objects: dict[str, dict[str, Any]] = {}
        self.pods: list[dict[str, Any]] = []
        self.requests: list[str] = []
        self.play: list[dict[str, Any]] = [{}]
        self.faults: list[tuple[str, Answer]] = []
        self.known = set(KNOWN)
        self.lingers = 0
        self.after: Callable[[str], None] = lambda _: None

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        for index, (pattern, fault) in enumerate(self.faults):
            if re.fullmatch(pattern, f"{method} {path}"):
                del self.faults[index]
                return fault
        if found := PODS.fullmatch(path):
            return self._list_pods(found[1], query)
        found = OBJECTS.fullmatch(path)
        if not found or f"{found[1]}/{found[3]}" not in self.known:
            return 404, "404 page not found"
        if method == "POST":
            path = f"{path}/{body['metadata']['name']}"
            if path in self.objects:
                return tell(409, f"{path} already exists", body["metadata"]["name"])
            assert body["apiVersion"] == found[1] and body["metadata"]["namespace"] == found[2]
            self.objects[path] = body
            return 201, body
        if path not in self.objects:
            return tell(404, f"{path} not found", found[4])
        if method == "DELETE":
            # Finalizers may keep what is deleted for a while.
            if self.lingers:
                self.objects[path]["metadata"]["deletionTimestamp"] = "2026-03-31T03:00:00Z"
            else:
                del self.objects[path]
            return 200, {"kind": "Status", "status": "Success"}
        return 200, self._read(path)

    def _read(self, path: str) -> dict[str, Any]:
        made = dict(self.objects[path])
        if made["metadata"].get("deletionTimestamp"):
            self.lingers -= 1
            if self.lingers <= 0:
                del self.objects[path]
        else:
            made["status"] = self.play.pop(0) if len(self.play) > 1 else self.play[0]
        return made

    def _list_pods(self, namespace: str, query: dict[str, str]) -> Answer:
        label, _, value = query["labelSelector"].partition("=")
        listed = [pod for pod in self.pods if pod["metadata"]["labels"].get(label) == value]
        return 200, {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": listed}

    def list_requests(self, pattern: str) -> list[str]:
        return [one for one in self.requests if re.fullmatch(pattern, one)]


def _make_handler(api: FakeKubernetes) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

        def _serve(self) -> None:
            parts = urllib.parse.urlsplit(self.path)
            raw = self.rfile.read(int(self.headers.get("content-length") or 0))
            query = dict(urllib.parse.parse_qsl(parts.query))
            asked = f"{self.command} {parts.path}"
            api.requests.append(asked)
            status, content = api.answer(self.command, parts.path, query, json.loads(raw) if raw else None)
            api.after(asked)
            if status:
                data = (content if isinstance(content, str) else json.dumps(content)).encode()
                self.send_response(status)
                kind = "text/plain" if isinstance(content, str) else "application/json"
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
            self.close_connection = not status

        do_GET = do_POST = do_DELETE = _serve  # noqa: N815

    return Handler


@pytest.fixture
def api(serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKubernetes]:
    """A running API; ``api.host`` is its address."""
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    fake = FakeKubernetes()
    with serve(_make_handler(fake)) as fake.host:
        yield fake


@pytest.fixture
def connect(api: FakeKubernetes) -> Callable[[], Any]:
    """Makes clients of that API."""
    with lean_imports():
        from kubernetes import client

    def make() -> Any:
        configuration = client.Configuration()
        configuration.host, configuration.retries = api.host, False
        return client.ApiClient(configuration)

    return make


@pytest.fixture
def kubeflow() -> Callable[..., KubeflowConfig]:
    """Makes a section ``kubeflow`` with a training job of two workers."""

    def make(**job: Any) -> KubeflowConfig:
        section = {
            "image": "registry.example.org/deconvflow:1.2.3",
            "image_pull_secrets": ["registry"],
            "checkpoint_root": "/mnt/work/checkpoints",
            "defaults": {
                "memory": "4Gi",
                "secrets": [{"name": "store", "keys": {"AWS_SECRET_ACCESS_KEY": "key"}}],
                "volumes": [{"mount_path": "/mnt/work", "claim": "work"}],
            },
            "components": {
                "Trainer": {"environment": {"NCCL_DEBUG": "WARN"}, "node_selector": {"pool": "a"}}
            },
            "training_job": {
                "workers": 2,
                "pod": {
                    "cpu": "4",
                    "memory": "16Gi",
                    "accelerator": {"count": 2},
                    "shared_memory": "8Gi",
                    "node_selector": {"pool": "gpu"},
                    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
                },
                **job,
            },
        }
        return KubeflowConfig.model_validate_json(json.dumps(section))

    return make


@pytest.fixture
def make_plan(kubeflow: Callable[..., KubeflowConfig]) -> Callable[..., JobPlan]:
    """Makes plans of jobs named ``streets-1``."""

    def make(**changes: Any) -> JobPlan:
        fields: dict[str, Any] = {
            "kind": "tfjob",
            "name": "streets-1",
            "namespace": "team",
            "workers": 2,
            "command": ("python", "-m", "trainer.run_worker", "/mnt/work/job.json"),
            "pod": build_worker_pod(kubeflow()),
            "user": (10001, 0),
            "service_account": "trainer",
            "notes": {"deconvflow/run-id": "run-7"},
        }
        return JobPlan(**{**fields, **changes})

    return make
