"""A job from its creation to its end, on an API that plays states."""

from __future__ import annotations

import logging

import pytest

from data.errors import RefusedError
from pipeline.cluster.follow_job import JobFollower
from pipeline.cluster.job_api import JobApi, Pace, TrainingJobError
from pipeline.cluster.job_state import read_state

TFJOB = "/apis/kubeflow.org/v1/namespaces/team/tfjobs"
TRAINJOB = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/team/trainjobs"
FAST = Pace(0.001, 0.002, patience_seconds=5.0)


def hold(kind, reason="", message="", *earlier):
    """Returns a status in which this condition holds, and earlier ones no more."""
    over = [{"type": one, "status": "False"} for one in earlier]
    return {"conditions": [*over, {"type": kind, "status": "True", "reason": reason, "message": message}]}


def make_pod(name, phase="Running", label="training.kubeflow.org/job-name", **container):
    return {
        "metadata": {"name": name, "labels": {label: "streets-1"}},
        "status": {"phase": phase, "containerStatuses": [container] if container else []},
    }


def end(status, message="", at="2026-03-31T03:00:00Z"):
    return {"terminated": {"exitCode": status, "message": message, "finishedAt": at}}


@pytest.fixture
def follow(connect, make_plan, caplog):
    """Sees a job through."""
    caplog.set_level(logging.INFO)
    prepared = []

    def run(is_complete=lambda: True, pace=FAST, **plan):
        planned = make_plan(**plan)
        jobs = JobApi(planned, connect(), pace)
        JobFollower(planned, jobs, pace).run(lambda: prepared.append(planned.name), is_complete)

    run.prepared = prepared
    return run


@pytest.fixture
def said(caplog):
    return lambda: [one.getMessage() for one in caplog.records if one.name.endswith("training_job")]


def test_a_job_is_made_followed_and_left_when_it_has_succeeded(api, follow, said):
    running = hold("Running", "TFJobRunning", "", "Created")
    api.play = [{}, hold("Created"), running, running, hold("Succeeded", "", "", "Running")]
    follow()
    assert follow.prepared == ["streets-1"]
    assert said() == [f"TFJob streets-1: {one}" for one in ("created", "running", "succeeded")]
    assert list(api.objects) == [f"{TFJOB}/streets-1"]
    assert api.objects[f"{TFJOB}/streets-1"]["metadata"]["annotations"] == {"deconvflow/run-id": "run-7"}


def test_a_trainjob_is_made_with_its_runtime_before_it(api, follow, said):
    active = {"jobsStatus": [{"name": "node", "active": 1}]}
    api.play = [{}, active, hold("Complete", "JobsCompleted", "jobset completed")]
    follow(kind="trainjob")
    made = api.list_requests("POST .*")
    assert [one.rpartition("/")[2] for one in made] == ["trainingruntimes", "trainjobs"]
    assert said()[-2:] == ["TrainJob streets-1: running", "TrainJob streets-1: succeeded"]


def test_what_pods_wait_for_is_said(api, follow, said):
    api.play = [hold("Created"), hold("Created"), hold("Succeeded")]
    unschedulable = make_pod("streets-1-worker-1", "Pending")
    unschedulable["status"]["conditions"] = [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    ]
    pulling = make_pod("streets-1-worker-0", "Pending", state={"waiting": {"reason": "ImagePullBackOff"}})
    other = make_pod("another-worker-0", "Failed")
    other["metadata"]["labels"] = {"training.kubeflow.org/job-name": "another"}
    api.pods = [pulling, unschedulable, other]
    follow()
    pods = "1 Pending (ImagePullBackOff), 1 Pending (Unschedulable)"
    assert said()[1] == f"TFJob streets-1: created, {pods}"


def test_an_api_in_trouble_is_asked_again(api, follow, said):
    api.play = [hold("Running"), hold("Succeeded")]
    again = (500, {"message": "etcdserver: request timed out"})
    api.faults = [
        ("GET .*/streets-1", (503, "no")),
        ("POST .*", again),
        ("GET .*/streets-1", (0, "")),
        ("GET .*/streets-1", again),
        ("GET .*/streets-1", (429, {"message": "slow down"})),
        ("GET .*/pods", again),
    ]
    follow()
    assert follow.prepared == ["streets-1"] and api.faults == []
    assert said()[-2:] == ["TFJob streets-1: running", "TFJob streets-1: succeeded"]
    assert sum("etcdserver: request timed out" in one for one in said()) == 2


def test_a_job_that_was_made_though_the_answer_was_lost_is_the_one(api, follow):
    api.play = [hold("Succeeded")]

    first = api.answer

    def answer(method, path, query, body):
        answered = first(method, path, query, body)
        if method == "POST" and len(api.list_requests("POST .*")) == 1:
            return 504, {"message": "gateway timeout"}
        return answered

    api.answer = answer
    follow()
    assert len(api.list_requests("POST .*")) == 2 and len(api.objects) == 1


def test_an_api_that_stays_away_ends_the_step_and_not_the_job(api, follow):
    api.play = [hold("Running")]
    api.after = lambda asked: api.faults.extend([("GET .*/streets-1", (500, {"message": "down"}))] * 2)
    with pytest.raises(
        TrainingJobError, match=r"in trouble \(asking for TFJob streets-1: down\)\. .*goes on"
    ):
        follow(pace=Pace(0.001, 0.002, patience_seconds=0.2))
    assert api.list_requests("DELETE .*") == []


def test_a_step_that_starts_again_takes_its_job_up(api, follow, said):
    api.play = [hold("Running"), hold("Running"), hold("Succeeded")]
    api.objects[f"{TFJOB}/streets-1"] = {"metadata": {"name": "streets-1"}}
    follow()
    assert follow.prepared == [] and api.list_requests("POST .*") == []
    assert said()[0] == "TFJob streets-1: taken up: running"


def test_a_job_that_ended_while_nobody_looked_is_taken_up(api, follow):
    api.play = [hold("Succeeded")]
    api.objects[f"{TFJOB}/streets-1"] = {"metadata": {"name": "streets-1"}}
    follow()
    assert follow.prepared == [] and api.list_requests("POST .*") == []


@pytest.mark.parametrize("lingers", [0, 3])
def test_a_job_that_failed_before_is_made_again(api, follow, said, lingers):
    api.lingers = lingers
    api.play = [hold("Failed", "BackoffLimitExceeded"), hold("Succeeded")]
    api.objects[f"{TFJOB}/streets-1"] = {"metadata": {"name": "streets-1"}}
    follow()
    assert follow.prepared == ["streets-1"]
    assert [len(api.list_requests(f"{verb} .*")) for verb in ("DELETE", "POST")] == [1, 1]
    assert said()[0] == "TFJob streets-1: an earlier one failed; made again"


def test_a_job_that_succeeded_and_whose_model_is_gone_is_made_again(api, follow):
    api.play = [hold("Succeeded")]
    api.objects[f"{TFJOB}/streets-1"] = {"metadata": {"name": "streets-1"}}
    follow(is_complete=lambda: bool(follow.prepared))
    assert follow.prepared == ["streets-1"]


def test_a_job_without_a_model_has_not_trained(api, follow):
    api.play = [hold("Succeeded")]
    with pytest.raises(
        TrainingJobError, match=r"left no model .* Do the workers mount the volume of kubeflow"
    ):
        follow(is_complete=lambda: False)


def test_a_failed_job_names_its_condition_and_the_pod_to_look_at(api, follow):
    message = "TFJob streets-1 has failed because 1 Worker\nreplica(s) failed."
    api.play = [hold("Running"), hold("Failed", "TFJobFailed", message, "Running")]
    lost = end(138, "Worker 1 was lost", "2026-03-31T02:00:00Z")
    api.pods = [
        make_pod("streets-1-worker-0", "Failed", state=lost),
        make_pod("streets-1-worker-1", "Failed", state=end(1, "Traceback\nOSError: disk is full.\n")),
    ]
    with pytest.raises(TrainingJobError) as caught:
        follow()
    assert str(caught.value) == (
        "TFJob streets-1 failed (TFJobFailed: TFJob streets-1 has failed because 1 Worker replica(s) "
        "failed.). The pod streets-1-worker-1 ended with status 1: OSError: disk is full. "
        "See kubectl -n team logs streets-1-worker-1"
    )
    # It stays, to be looked at.
    assert api.list_requests("DELETE .*") == []


def test_what_a_worker_refuses_the_step_refuses(api, follow):
    api.play = [hold("Failed", "TFJobFailed")]
    words = "trainer.batch_size: is 5, no multiple of 2 devices. Set it to 6."
    api.pods = [make_pod("streets-1-worker-0", "Failed", state=end(2, words))]
    with pytest.raises(RefusedError, match=r"refused by the worker streets-1-worker-0: trainer\.batch_size"):
        follow()


def test_a_failed_job_without_pods_says_where_to_look(api, follow):
    api.play = [hold("Failed", "FailedJobs", "jobset failed")]
    with pytest.raises(TrainingJobError, match=r"\(FailedJobs: jobset failed\).*-l jobset.*=streets-1"):
        follow(kind="trainjob")


def test_pods_that_may_not_be_listed_are_not_asked_for_again(api, follow, said):
    api.play = [hold("Running"), hold("Running"), hold("Failed", "TFJobFailed", "pod failed")]
    api.faults = [("GET .*/pods", (403, {"message": "pods is forbidden"}))]
    with pytest.raises(TrainingJobError, match=r"get pods -l training\.kubeflow\.org/job-name=streets-1"):
        follow()
    assert len(api.list_requests("GET .*/pods")) == 1


def test_a_job_that_somebody_deleted_ends_the_step(api, follow):
    api.play = [hold("Running")]
    api.after = lambda asked: api.objects.clear() if len(api.list_requests("GET .*/pods")) == 2 else None
    with pytest.raises(TrainingJobError, match="was deleted from outside"):
        follow()


@pytest.mark.parametrize("kind", ["tfjob", "trainjob"])
def test_a_step_that_is_stopped_deletes_its_job(api, follow, kind, monkeypatch):
    api.play = [hold("Running")]
    waited = []

    def stop(seconds):
        waited.append(seconds)
        if len(waited) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.cluster.follow_job.time.sleep", stop)
    with pytest.raises(KeyboardInterrupt):
        follow(kind=kind)
    assert api.objects == {}
    # Longer and longer while nothing changes.
    assert waited == sorted(waited) and waited[0] < waited[-1]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ((403, {"message": "tfjobs is forbidden"}), "tfjobs is forbidden.*manifests/training-access.yaml"),
        ((422, {"message": "spec.runPolicy is wrong"}), "HTTP 422 .*runPolicy is wrong"),
    ],
)
def test_what_the_api_refuses_is_not_tried_again(api, follow, fault, said):
    api.faults = [("POST .*", fault)]
    with pytest.raises(RefusedError, match=f"kubeflow.training_job: .*{said}"):
        follow()
    assert len(api.list_requests("POST .*")) == 1


def test_a_cluster_without_the_operator_is_named(api, follow):
    api.known.clear()
    with pytest.raises(RefusedError, match=r"Install the operator of tfjobs\.kubeflow\.org \(v1\)"):
        follow()


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, "created"),
        (hold("Created"), "created"),
        (hold("Restarting", "TFJobRestarting", "", "Running"), "restarting"),
        (hold("Suspended"), "suspended"),
        ({"conditions": [{"type": "Failed", "status": "False"}]}, "created"),
        ({"jobsStatus": [{"name": "node", "active": 0}]}, "created"),
    ],
)
def test_states(status, expected):
    assert read_state({"status": status}).name == expected
