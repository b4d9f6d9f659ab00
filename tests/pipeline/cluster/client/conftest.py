"""A local backend that takes nothing which the published v2beta1 API would not."""

from __future__ import annotations

import json
import re
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler

import pytest

SPEC = """
pipelineInfo: {name: boxes}
schemaVersion: 2.1.0
sdkVersion: deconvflow-0.1.0
defaultPipelineRoot: minio://mlpipeline/deconvflow
deploymentSpec:
  executors:
    exec-a: {container: {image: 'deconvflow:0.1.0', command: [python], args: [-V]}}
    exec-b: {container: {image: 'deconvflow:0.1.0', command: [python], args: [-V]}}
components:
  comp-a: {executorLabel: exec-a}
  comp-b: {executorLabel: exec-b}
root:
  dag:
    tasks:
      DataGate: {componentRef: {name: comp-a}, taskInfo: {name: DataGate}, cachingOptions: {}}
      Pusher:
        componentRef: {name: comp-b}
        dependentTasks: [DataGate]
        taskInfo: {name: Pusher}
        cachingOptions: {}
  inputDefinitions:
    parameters:
      trainer_epochs: {parameterType: NUMBER_INTEGER, isOptional: true, defaultValue: 3}
      trainer_learning_rate: {parameterType: NUMBER_DOUBLE, isOptional: true, defaultValue: 0.1}
      data_root: {parameterType: STRING, isOptional: true, defaultValue: /data}
---
platforms:
  kubernetes:
    deploymentSpec:
      executors:
        exec-a: {nodeSelector: {labels: {pool: gpu}}}
"""

RUN_KEYS = {
    "experiment_id", "run_id", "display_name", "storage_state", "description", "pipeline_version_id",
    "pipeline_spec", "pipeline_version_reference", "runtime_config", "service_account", "created_at",
    "scheduled_at", "finished_at", "state", "error", "run_details", "recurring_run_id", "state_history",
}  # fmt: skip
SCHEDULE_KEYS = {
    "recurring_run_id", "display_name", "description", "pipeline_version_id", "pipeline_spec",
    "pipeline_version_reference", "runtime_config", "service_account", "max_concurrency", "trigger", "mode",
    "created_at", "updated_at", "status", "error", "no_catchup", "namespace", "experiment_id",
}  # fmt: skip
VARIABLES = (
    "KF_PIPELINES_ENDPOINT", "KFP_EXISTING_TOKEN", "KF_PIPELINES_SA_TOKEN_PATH", "KFP_NAMESPACE",
    "KUBECONFIG", "KF_PIPELINES_UI_ENDPOINT", "KUBERNETES_SERVICE_HOST", "DECONVFLOW_METADATA_STORE",
)  # fmt: skip
MOMENT = "2026-03-31T03:00:00Z"


class WrongRequestError(Exception):
    """The request is not one that the API has."""


def _need(condition, message):
    if not condition:
        raise WrongRequestError(message)


def check_spec(document):
    """Holds what is to run against kfp's own messages, unknown fields refused."""
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2 as pb

    _need(isinstance(document, dict), "pipeline_spec must be an object")
    spec = document.get("pipeline_spec", document)
    json_format.ParseDict(spec, pb.PipelineSpec(), ignore_unknown_fields=False)
    _need(spec.get("schemaVersion") == "2.1.0", "schemaVersion")
    if "pipeline_spec" in document:
        _need(set(document) <= {"pipeline_spec", "platform_spec"}, "keys beside pipeline_spec")
        json_format.ParseDict(document["platform_spec"], pb.PlatformSpec(), ignore_unknown_fields=False)
    return spec


class FakeBackend:
    """State of a backend, and what it is to do wrong."""

    def __init__(self):
        self.requests = []
        self.wrong = []
        self.experiments = {}
        self.runs = {}
        self.schedules = {}
        self.faults = {}
        """By ``METHOD path`` (a regular expression): (status, body), "hang" or "break"."""
        self.endings = []
        """Answers to GET run, one after the other; the last one stays."""
        self.token = None
        self.page_size = 2

    def answer(self, method, path, query, body, headers):
        if self.token is not None and headers.get("authorization") != f"Bearer {self.token}":
            return 401, {"error": "Unauthenticated", "message": f"bad token {headers.get('authorization')}"}
        for (verb, pattern), handler in ROUTES.items():
            match = re.fullmatch(pattern, path)
            if verb == method and match:
                return handler(self, *match.groups(), query=query, body=body)
        raise WrongRequestError(f"{method} {path} is not in the API")

    def healthz(self, query, body):
        return 200, {"multi_user": False}

    def list_experiments(self, query, body):
        wanted = json.loads(query.get("filter", "{}")).get("predicates", [])
        found = [
            one
            for one in self.experiments.values()
            if all(one["display_name"] == predicate["stringValue"] for predicate in wanted)
        ]
        return 200, {"experiments": found} if found else {}

    def create_experiment(self, query, body):
        _need(body.get("display_name"), "display_name is required")
        _need(set(body) <= {"display_name", "description", "namespace"}, f"keys of experiment: {set(body)}")
        made = body | {"experiment_id": f"exp-{len(self.experiments)}", "created_at": MOMENT}
        self.experiments[made["experiment_id"]] = made
        return 200, made

    def _check_common(self, body, keys):
        _need(set(body) <= keys, f"unknown keys {set(body) - keys}")
        _need(body.get("display_name"), "display_name is required")
        _need(body.get("experiment_id") in self.experiments, "experiment does not exist")
        spec = check_spec(body.get("pipeline_spec"))
        runtime = body.get("runtime_config", {})
        _need(set(runtime) <= {"parameters", "pipeline_root"}, "keys of runtime_config")
        declared = spec["root"]["inputDefinitions"]["parameters"]
        kinds = {"NUMBER_INTEGER": int, "NUMBER_DOUBLE": (int, float), "STRING": str}
        for name, value in runtime.get("parameters", {}).items():
            _need(name in declared, f"parameter {name} is not declared")
            _need(isinstance(value, kinds[declared[name]["parameterType"]]), f"type of {name}")

    def create_run(self, query, body):
        self._check_common(body, RUN_KEYS)
        made = body | {"run_id": f"run-{len(self.runs)}", "state": "PENDING", "created_at": MOMENT}
        self.runs[made["run_id"]] = made
        return 200, made

    def get_run(self, run_id, query, body):
        if run_id not in self.runs:
            return 404, {"error": "not found", "message": f"run {run_id} not found", "code": 5}
        ending = self.endings.pop(0) if len(self.endings) > 1 else self.endings[0]
        return 200, {"run_id": run_id, "display_name": "x", "created_at": MOMENT} | ending

    def create_schedule(self, query, body):
        self._check_common(body, SCHEDULE_KEYS)
        _need(1 <= int(body["max_concurrency"]) <= 10, "max_concurrency is 1 to 10")
        _need(body["mode"] in ("ENABLE", "DISABLE"), "mode")
        _need(isinstance(body["no_catchup"], bool), "no_catchup")
        trigger = body["trigger"]
        _need(len(trigger) == 1 and set(trigger) <= {"cron_schedule", "periodic_schedule"}, "one trigger")
        if cron := trigger.get("cron_schedule"):
            _need(set(cron) <= {"start_time", "end_time", "cron"}, "keys of cron_schedule")
            _need(len(cron["cron"].split()) == 6, "cron has six fields, seconds first")
        else:
            _need(int(trigger["periodic_schedule"]["interval_second"]) >= 1, "interval_second")
        status = {"ENABLE": "ENABLED", "DISABLE": "DISABLED"}[body["mode"]]
        name = f"sched-{len(self.schedules)}"
        self.schedules[name] = body | {"recurring_run_id": name, "status": status, "created_at": MOMENT}
        return 200, self.schedules[name]

    def list_schedules(self, query, body):
        start = int(query.get("page_token") or 0)
        listed = list(self.schedules.values())
        page = {"recurringRuns": listed[start : start + self.page_size], "total_size": len(listed)}
        if start + self.page_size < len(listed):
            page["next_page_token"] = str(start + self.page_size)
        return 200, page

    def get_schedule(self, schedule_id, query, body):
        return 200, self.schedules[schedule_id]

    def switch(self, schedule_id, action, query, body):
        mode = action.upper()
        self.schedules[schedule_id] |= {"mode": mode, "status": f"{mode}D"}
        return 200, {}

    def delete_schedule(self, schedule_id, query, body):
        del self.schedules[schedule_id]
        return 200, {}


BASE = "/apis/v2beta1"
ROUTES = {
    ("GET", f"{BASE}/healthz"): FakeBackend.healthz,
    ("GET", f"{BASE}/experiments"): FakeBackend.list_experiments,
    ("POST", f"{BASE}/experiments"): FakeBackend.create_experiment,
    ("POST", f"{BASE}/runs"): FakeBackend.create_run,
    ("GET", f"{BASE}/runs/([^/:]+)"): FakeBackend.get_run,
    ("POST", f"{BASE}/recurringruns"): FakeBackend.create_schedule,
    ("GET", f"{BASE}/recurringruns"): FakeBackend.list_schedules,
    ("GET", f"{BASE}/recurringruns/([^/:]+)"): FakeBackend.get_schedule,
    ("POST", f"{BASE}/recurringruns/([^/:]+):(enable|disable)"): FakeBackend.switch,
    ("DELETE", f"{BASE}/recurringruns/([^/:]+)"): FakeBackend.delete_schedule,
}


def _make_handler(backend):
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def _serve(self):
            parts = urllib.parse.urlsplit(self.path)
            query = dict(urllib.parse.parse_qsl(parts.query))
            raw = self.rfile.read(int(self.headers.get("content-length") or 0))
            backend.requests.append(f"{self.command} {parts.path}")
            for pattern, fault in backend.faults.items():
                if re.fullmatch(pattern, f"{self.command} {parts.path}"):
                    return self._fail(fault)
            try:
                body = json.loads(raw) if raw else None
                status, answer = backend.answer(self.command, parts.path, query, body, self.headers)
            except Exception as error:
                backend.wrong.append(f"{self.command} {self.path}: {error!r}")
                status, answer = 400, {"error": str(error), "message": str(error), "code": 3}
            self._send(status, json.dumps(answer), "application/json")

        def _fail(self, fault):
            if fault == "hang":
                time.sleep(3)
            elif fault != "break":
                self._send(*fault)
            self.close_connection = True

        def _send(self, status, text, kind="application/json"):
            data = text.encode()
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = _serve  # noqa: N815

    return Handler


@pytest.fixture
def fake(serve, monkeypatch, tmp_path):
    """A running backend; ``fake.host`` is its address. Whatever it found wrong fails the test."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    backend = FakeBackend()
    with serve(_make_handler(backend)) as backend.host:
        yield backend
    assert backend.wrong == []


@pytest.fixture
def package(tmp_path):
    """A small compiled pipeline of two documents."""
    path = tmp_path / "pipeline.yaml"
    path.write_text(SPEC)
    return path


@pytest.fixture
def cli(call):
    """Runs ``deconvflow kubeflow ...`` in this process; returns exit status, stdout and stderr."""

    def run(*arguments):
        done = call("kubeflow", *arguments)
        assert "Traceback" not in done.out + done.err
        return done.status, done.out, done.err

    return run
