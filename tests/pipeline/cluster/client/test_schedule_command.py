"""deconvflow kubeflow schedule, against a local backend that holds each request to the API."""

from __future__ import annotations

import json

import pytest

from pipeline.cluster.client_documents import ScheduleChangeDocument, ScheduleListDocument

pytestmark = pytest.mark.slow


def _create(cli, fake, package, *more):
    return cli("schedule", "create", package, "--host", fake.host, *more)


def test_five_fields_get_seconds_and_that_is_said(fake, package, cli):
    code, out, err = _create(cli, fake, package, "--cron", "0 3 * * 1-5", "-p", "trainer_epochs=2", "--json")
    assert code == 0
    assert "sent as '0 0 3 * * 1-5': the backend takes six fields, seconds first" in err
    made = fake.schedules["sched-0"]
    assert made["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * 1-5"}}
    assert (made["mode"], made["no_catchup"], made["max_concurrency"]) == ("ENABLE", True, "1") or (
        made["mode"], made["no_catchup"], made["max_concurrency"]
    ) == ("ENABLE", True, 1)  # fmt: skip
    assert made["runtime_config"]["parameters"] == {"trainer_epochs": 2}
    document = ScheduleChangeDocument.model_validate_json(out)
    assert (document.action, document.schedule.cron) == ("created", "0 0 3 * * 1-5")
    assert (document.schedule.name, document.schedule.pipeline) == ("boxes", "boxes")
    assert document.schedule.catch_up is False


def test_create_need_not_be_said(fake, package, cli):
    code, out, err = cli("schedule", package, "--cron", "0 0 3 * * *", "--host", fake.host)
    assert (code, out) == (0, "sched-0\n")
    assert "sent as" not in err


def test_an_interval_with_everything_else(fake, package, cli):
    code, _, _ = _create(
        cli, fake, package, "--interval", "12h", "--name", "nightly", "--max-concurrency", "3", "--catch-up",
        "--disabled", "--start", "2026-03-31T03:00+00:00", "--end", "2027-03-31T03:00+00:00",
    )  # fmt: skip
    assert code == 0
    made = fake.schedules["sched-0"]
    periodic = made["trigger"]["periodic_schedule"]
    assert int(periodic["interval_second"]) == 43200
    assert (periodic["start_time"], periodic["end_time"]) == (
        "2026-03-31T03:00:00+00:00",
        "2027-03-31T03:00:00+00:00",
    )
    assert (made["mode"], made["no_catchup"], int(made["max_concurrency"])) == ("DISABLE", False, 3)


def test_the_same_name_needs_replace_and_the_old_one_goes_last(fake, package, cli):
    _create(cli, fake, package, "--cron", "0 3 * * *")
    code, _, err = _create(cli, fake, package, "--cron", "0 4 * * *")
    assert code == 2
    assert "schedule boxes: is there already (sched-0). Give --replace" in err
    code, out, _ = _create(cli, fake, package, "--cron", "0 4 * * *", "--replace", "--json")
    assert (code, json.loads(out)["action"]) == (0, "replaced")
    assert [one["trigger"]["cron_schedule"]["cron"] for one in fake.schedules.values()] == ["0 0 4 * * *"]
    verbs = [one for one in fake.requests if "recurringruns" in one and not one.startswith("GET")]
    assert verbs[-2:] == ["POST /apis/v2beta1/recurringruns", "DELETE /apis/v2beta1/recurringruns/sched-0"]


def test_all_pages_are_listed(fake, package, cli):
    for name in ("a", "b", "c", "d", "e"):
        _create(cli, fake, package, "--interval", "1h", "--name", name)
    code, out, _ = cli("schedule", "list", "--host", fake.host, "--json")
    document = ScheduleListDocument.model_validate_json(out)
    assert code == 0
    assert [one.name for one in document.schedules] == ["a", "b", "c", "d", "e"]
    assert {one.interval_seconds for one in document.schedules} == {3600}
    code, out, _ = cli("schedule", "list", "--host", fake.host)
    assert code == 0
    assert "every 1 h 00 min" in out


def test_no_schedules(fake, cli):
    assert cli("schedule", "list", "--host", fake.host)[:2] == (0, "")


def test_disable_enable_and_delete_by_name_and_id(fake, package, cli):
    _create(cli, fake, package, "--cron", "@daily", "--name", "nightly")
    code, out, _ = cli("schedule", "disable", "nightly", "--host", fake.host, "--json")
    assert code == 0
    assert json.loads(out)["schedule"]["enabled"] is False
    assert fake.schedules["sched-0"]["status"] == "DISABLED"
    code, out, _ = cli("schedule", "enable", "sched-0", "--host", fake.host, "--json")
    assert json.loads(out)["schedule"]["enabled"] is True
    assert cli("schedule", "delete", "nightly", "--host", fake.host)[0] == 0
    assert fake.schedules == {}


def test_a_name_that_nobody_or_several_have(fake, package, cli):
    code, _, err = cli("schedule", "disable", "nightly", "--host", fake.host)
    assert code == 2
    assert "schedule nightly: does not exist. There are: none at all" in err
    _create(cli, fake, package, "--cron", "@daily", "--name", "twin")
    fake.schedules["other"] = fake.schedules["sched-0"] | {"recurring_run_id": "other"}
    code, _, err = cli("schedule", "delete", "twin", "--host", fake.host)
    assert code == 2
    assert "is the name of several. Name one by its id: sched-0, other" in err
    assert len(fake.schedules) == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "--cron and --interval: are both missing"),
        (["--cron", "@daily", "--interval", "1h"], "are both given"),
        (
            ["--interval", "1h", "--max-concurrency", "11"],
            "--max-concurrency: is 11; the backend takes 1 to 10",
        ),
        (["--interval", "1h", "--start", "soon"], "--start: 'soon' is no time"),
        (["--interval", "1h", "--start", "2026-03-31", "--end", "2026-03-30"], "--end: is not after --start"),
    ],
)
def test_impossible_times_are_refused_before_anybody_is_asked(fake, package, cli, arguments, sentence):
    code, _, err = _create(cli, fake, package, *arguments)
    assert code == 2
    assert sentence in err
    assert fake.requests == []


def test_a_failure_on_creation_may_have_made_it(fake, package, cli):
    fake.faults = {"POST /apis/v2beta1/recurringruns": (500, '{"message": "database is gone"}')}
    code, _, err = _create(cli, fake, package, "--interval", "1h")
    assert code == 1
    assert "saying: database is gone" in err
    assert "Whether it was made is not known" in err
