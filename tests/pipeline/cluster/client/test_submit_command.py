"""deconvflow kubeflow submit, against a local backend that holds each request to the API."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from pipeline.cluster.client_documents import SubmitDocument
from pipeline.cluster.follow_run import Ending, judge

REPOSITORY = Path(__file__).parents[4]
MOMENT = "2026-03-31T03:00:00Z"
LATER = "2026-03-31T03:00:42Z"
pytestmark = pytest.mark.slow


def _task(name, state, **more):
    return {"display_name": name, "state": state, "start_time": MOMENT, "create_time": MOMENT} | more


def _run(state, *tasks, **more):
    return {"state": state, "run_details": {"task_details": list(tasks)}} | more


def test_a_submitted_run_holds_both_documents_and_typed_parameters(fake, package, cli):
    code, out, _ = cli(
        "submit", package, "--host", fake.host, "--param", "trainer_epochs=7", "-p", "data_root=s3://b/x",
        "--run-name", "first", "--experiment", "boxes-nightly", "--service-account", "trainer",
        "--pipeline-root", "s3://bucket/root", "--json",
    )  # fmt: skip
    assert code == 0
    document = SubmitDocument.model_validate_json(out)
    made = fake.runs[document.run_id]
    assert made["display_name"] == "first"
    assert made["service_account"] == "trainer"
    assert fake.experiments[made["experiment_id"]]["display_name"] == "boxes-nightly"
    assert made["runtime_config"] == {
        "parameters": {"trainer_epochs": 7, "data_root": "s3://b/x"},
        "pipeline_root": "s3://bucket/root",
    }
    kubernetes = made["pipeline_spec"]["platform_spec"]["platforms"]["kubernetes"]
    assert kubernetes["deploymentSpec"]["executors"]["exec-a"]["nodeSelector"] == {"labels": {"pool": "gpu"}}
    assert document.url == f"{fake.host}/#/runs/details/{document.run_id}"
    assert (document.state, document.status, document.error) == ("PENDING", None, None)


def test_without_json_stdout_is_the_run_id_alone(fake, package, cli):
    code, out, err = cli("submit", package, "--host", fake.host)
    assert (code, out) == (0, "run-0\n")
    assert "run run-0 of boxes was submitted" in err
    assert fake.experiments["exp-0"]["display_name"] == "boxes"


def test_an_experiment_that_is_there_is_used(fake, package, cli):
    cli("submit", package, "--host", fake.host)
    cli("submit", package, "--host", fake.host)
    assert len(fake.experiments) == 1
    assert len(fake.runs) == 2


def test_no_cache_is_written_into_every_task(fake, package, cli):
    cli("submit", package, "--host", fake.host, "--cache")
    tasks = fake.runs["run-0"]["pipeline_spec"]["pipeline_spec"]["root"]["dag"]["tasks"]
    assert all(task["cachingOptions"] == {"enableCache": True} for task in tasks.values())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-p", "trainer_epoch=7"], "--param trainer_epoch: is no runtime parameter of this pipeline"),
        (["-p", "trainer_epochs=7.5"], "--param trainer_epochs: must be a whole number, not '7.5'"),
        (["-p", "trainer_learning_rate=nan"], "must be a number, not 'nan'"),
        (["-p", "trainer_epochs"], "is not KEY=VALUE"),
        (["--set", "trainer.epochs=3"], "changes a configuration, not a compiled file"),
        (["--config", "x.yaml"], "FILE and --config: are both given"),
    ],
)
def test_what_is_impossible_is_refused_before_anybody_is_asked(fake, package, cli, arguments, sentence):
    code, out, err = cli("submit", package, "--host", fake.host, *arguments, "--json")
    assert code == 2
    assert sentence in err
    assert json.loads(out)["status"] == "refused"
    assert fake.requests == []


def test_a_file_that_would_not_run_is_refused_by_the_linter(fake, package, cli):
    package.write_text(package.read_text().replace("schemaVersion: 2.1.0", "schemaVersion: 2.0.0"))
    code, _, err = cli("submit", package, "--host", fake.host)
    assert code == 2
    assert "schemaVersion" in err
    assert fake.requests == []


def test_waiting_tells_each_step_once_and_names_no_helpers(fake, package, cli):
    fake.endings = [
        _run("RUNNING", _task("DataGate", "RUNNING"), _task("DataGate-driver", "SUCCEEDED")),
        _run("RUNNING", _task("DataGate", "RUNNING"), _task("Pusher", "PENDING")),
        _run("SUCCEEDED", _task("DataGate", "SUCCEEDED", end_time=LATER), _task("Pusher", "SUCCEEDED")),
    ]
    code, out, err = cli("submit", package, "--host", fake.host, "--wait", "--poll-seconds", "0.05", "--json")
    document = json.loads(out)
    assert code == 0
    assert (document["state"], document["status"]) == ("SUCCEEDED", None)
    assert [(task["name"], task["seconds"]) for task in document["tasks"]] == [
        ("DataGate", 42),
        ("Pusher", None),
    ]
    assert err.count("DataGate: running") == 1
    assert "DataGate: succeeded after 42 s" in err
    assert "driver" not in err
    assert "whether the model was pushed is not known" in err


def test_a_data_gate_that_stopped_the_run_is_a_refusal(fake, package, cli):
    fake.endings = [
        _run("FAILED", _task("DataGate", "FAILED", error={"code": 2, "message": "main: exit code 2"}))
    ]
    code, out, err = cli("submit", package, "--host", fake.host, "--wait", "--json")
    assert code == 2
    assert json.loads(out)["status"] == "refused"
    assert "DataGate: failed: main: exit code 2" in err


def test_a_failed_step_is_a_failure(fake, package, cli):
    fake.endings = [_run("FAILED", _task("Pusher", "FAILED"), error={"code": 2, "message": "no such bucket"})]
    code, out, err = cli("submit", package, "--host", fake.host, "--wait", "--json")
    assert code == 1
    assert json.loads(out)["error"] == "no such bucket"
    assert "the run has ended: failed; no such bucket" in err


def test_waiting_ends_with_a_canceled_run(fake, package, cli):
    fake.endings = [_run("CANCELED")]
    assert cli("submit", package, "--host", fake.host, "--wait")[0] == 1


@pytest.fixture
def store(tmp_path):
    """A metadata store as the steps write it, with the runs run-0 ... of each status."""
    from ml_metadata.proto import metadata_store_pb2 as pb

    from pipeline import tracking
    from pipeline.store_address import StoreAddress

    address = StoreAddress("sqlite", path=tmp_path / "team.sqlite")
    connection = tracking.open_store(address, create=True)
    kind = connection.put_context_type(pb.ContextType(name=tracking.RUN_CONTEXT_TYPE))

    def record(run_id, status):
        context = pb.Context(type_id=kind, name=run_id)
        context.custom_properties[tracking.CONFIG_PROPERTY].string_value = "{}"
        context.custom_properties[tracking.PROCESS_PROPERTY].string_value = '{"pid": 1, "host": "pod x"}'
        summary = json.dumps({"status": status, "pipeline": "boxes", "seconds": 1.0, "error": None})
        context.custom_properties[tracking.SUMMARY_PROPERTY].string_value = summary if status else ""
        connection.put_contexts([context])

    return str(address), record


@pytest.mark.parametrize(
    ("status", "state", "expected"),
    [
        ("pushed", "SUCCEEDED", 0),
        ("not blessed", "SUCCEEDED", 3),
        ("refused", "FAILED", 2),
        ("failed", "FAILED", 1),
    ],
)
def test_the_metadata_store_decides_how_waiting_ends(fake, package, cli, store, status, state, expected):
    address, record = store
    record("run-0", status)
    fake.endings = [_run(state, _task("Pusher", state))]
    code, out, err = cli("submit", package, "--host", fake.host, "--wait", "--store", address, "--json")
    assert code == expected, err
    assert json.loads(out)["status"] == status


def test_a_run_that_the_store_does_not_know_is_said_to_be_unknown(fake, package, cli, store):
    fake.endings = [_run("SUCCEEDED")]
    code, _, err = cli("submit", package, "--host", fake.host, "--wait", "--store", store[0])
    assert code == 0
    assert "the metadata store does not tell: run run-0: does not exist" in err


@pytest.fixture
def killed(store):
    """A run whose step was killed before it could record its end; and what is recorded of it now."""
    from ml_metadata.proto import metadata_store_pb2 as pb

    from pipeline import tracking
    from pipeline.store_address import parse_address

    address, record = store
    record("run-0", None)
    opened = tracking.open_store(parse_address(address, "test"))
    kind = opened.put_execution_type(pb.ExecutionType(name="demo.Trainer"))
    execution = pb.Execution(type_id=kind, last_known_state=pb.Execution.RUNNING)
    contexts = [tracking.find_run(opened, "run-0")]
    opened.put_execution(execution, [], contexts, force_reuse_context=True)

    def read():
        (execution,) = opened.get_executions()
        return tracking.read_run(opened, "run-0"), pb.Execution.State.Name(execution.last_known_state)

    return address, read


def test_the_end_of_a_killed_run_is_recorded_by_who_waits_for_it(fake, package, cli, killed):
    address, read = killed
    fake.endings = [_run("FAILED", _task("Pusher", "FAILED", error={"code": 2, "message": "OOMKilled"}))]
    code, out, _ = cli("submit", package, "--host", fake.host, "--wait", "--store", address, "--json")
    assert (code, json.loads(out)["status"]) == (1, "failed")
    run, state = read()
    assert (run.status, run.error) == ("failed", "the backend says failed: OOMKilled")
    assert state == "FAILED"


@pytest.mark.parametrize(
    ("ending", "expected"), [("CANCELED", ("interrupted", "FAILED")), ("SUCCEEDED", ("running", "RUNNING"))]
)
def test_only_an_end_that_steps_cannot_record_is(fake, package, cli, killed, ending, expected):
    address, read = killed
    fake.endings = [_run(ending)]
    cli("submit", package, "--host", fake.host, "--wait", "--store", address)
    run, state = read()
    assert (run.status, state) == expected


@pytest.mark.parametrize(
    ("state", "status", "expected"),
    [
        ("SUCCEEDED", None, (0, None)),
        ("SUCCEEDED", "failed", (1, "failed")),
        ("FAILED", "pushed", (1, "failed")),
        ("CANCELED", None, (1, "failed")),
    ],
)
def test_judge_where_backend_and_store_differ(state, status, expected):
    assert judge(Ending(state, ()), status) == expected


def test_a_lost_connection_while_waiting_is_borne(fake, package, cli):
    fake.endings = [_run("SUCCEEDED")]
    fake.faults = {"GET /apis/v2beta1/runs/.*": (503, '{"message": "updating"}')}
    served = []
    answer = fake.answer

    class Once(dict):
        def items(self):
            served.append(1)
            return list(super().items()) if len(served) <= 6 else []

    fake.faults, fake.answer = Once(fake.faults), answer
    code, _, err = cli("submit", package, "--host", fake.host, "--wait", "--poll-seconds", "0.05")
    assert code == 0
    assert "no answer, asking again" in err
    assert "updating" in err


def test_waiting_no_longer_than_told(fake, package, cli):
    fake.endings = [_run("RUNNING", _task("DataGate", "RUNNING"))]
    code, out, err = cli(
        "submit", package, "--host", fake.host, "--wait", "--timeout-minutes", "0.001",
        "--poll-seconds", "0.05", "--json",
    )  # fmt: skip
    assert code == 1
    assert json.loads(out)["status"] is None
    assert "still running" in err
    assert "the run goes on" in err


def test_a_refused_connection(fake, package, cli):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code, _, err = cli("submit", package, "--host", f"http://127.0.0.1:{port}")
    assert code == 2
    assert f"http://127.0.0.1:{port}: takes no connection (connecting)" in err
    assert "port-forward" in err


def test_a_name_that_leads_nowhere(fake, package, cli):
    code, _, err = cli("submit", package, "--host", "http://no-such-host.invalid:8888")
    assert code == 2
    assert "is not known: its name leads nowhere" in err


def test_no_backend_named_at_all(fake, package, cli):
    code, _, err = cli("submit", package)
    assert code == 2
    assert err.startswith("--host: is not given, and there is neither KF_PIPELINES_ENDPOINT nor a kubeconfig")


def test_the_endpoint_may_come_from_the_environment(fake, package, cli, monkeypatch):
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", fake.host)
    monkeypatch.setenv("KF_PIPELINES_UI_ENDPOINT", "https://pipelines.example.org")
    code, out, _ = cli("submit", package, "--json")
    assert code == 0
    assert json.loads(out)["url"] == "https://pipelines.example.org/#/runs/details/run-0"


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (401, "does not know who is asking (HTTP 401), saying: go away"),
        (403, "does not allow that (HTTP 403), saying: go away"),
        (404, "has no such thing (HTTP 404), saying: go away"),
        (409, "has it already (HTTP 409), saying: go away"),
        (400, "refused (HTTP 400), saying: go away"),
    ],
)
def test_what_the_backend_refuses_was_not_started(fake, package, cli, status, sentence):
    fake.faults = {"POST /apis/v2beta1/runs": (status, '{"message": "go away", "code": 7}')}
    code, out, err = cli("submit", package, "--host", fake.host, "--json")
    assert code == 2
    assert sentence in err
    assert json.loads(out)["status"] == "refused"


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ((500, '{"message": "out of disk"}'), "failed (HTTP 500), saying: out of disk (submitting the run)"),
        ("break", "broke off"),
        ("hang", "does not answer in time"),
        ((200, "<html>log in</html>", "text/html"), "answered what is not understood"),
    ],
)
def test_what_may_have_started_is_said_to(fake, package, cli, fault, sentence):
    fake.faults = {"POST /apis/v2beta1/runs": fault}
    code, out, err = cli("submit", package, "--host", fake.host, "--request-seconds", "0.5", "--json")
    assert code == 1
    assert sentence in err
    assert "Whether the run was started is not known" in err
    document = SubmitDocument.model_validate_json(out)
    assert document.run_id is None
    assert sentence in document.error
    assert fake.requests.count("POST /apis/v2beta1/runs") == 1


@pytest.mark.parametrize("fault", [(500, "{}"), "break", "hang", (200, "<html>", "text/html")])
def test_trouble_before_the_submission_starts_nothing(fake, package, cli, fault):
    fake.faults = {".* /apis/v2beta1/(healthz|experiments)": fault}
    code, _, _ = cli("submit", package, "--host", fake.host, "--request-seconds", "0.3")
    assert code == 2
    assert not any(request.startswith("POST /apis/v2beta1/runs") for request in fake.requests)


def test_a_token_is_sent_and_never_shown(fake, package, cli, monkeypatch):
    fake.token = "wkQ3-very-secret-token"
    monkeypatch.setenv("KFP_EXISTING_TOKEN", fake.token)
    assert cli("submit", package, "--host", fake.host)[0] == 0
    fake.token = "another"
    code, out, err = cli("submit", package, "--host", fake.host)
    assert code == 2
    assert "saying: bad token Bearer ***" in err
    assert "wkQ3" not in out + err


def test_a_token_may_come_from_a_mounted_file(fake, package, cli, monkeypatch, tmp_path):
    fake.token = "from-a-file-12345"
    file = tmp_path / "token"
    file.write_text(fake.token)
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(file))
    assert cli("submit", package, "--host", fake.host)[0] == 0


def test_the_compiled_sample_is_what_the_backend_takes(fake, cli):
    code, out, err = cli(
        "submit",
        REPOSITORY / "kubeflow/pipeline.yaml",
        "--host",
        fake.host,
        "-p",
        "trainer_epochs=2",
        "--json",
    )
    assert code == 0, err
    assert json.loads(out)["pipeline"] == "digits"
    assert fake.runs["run-0"]["runtime_config"]["parameters"] == {"trainer_epochs": 2}
