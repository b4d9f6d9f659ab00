from __future__ import annotations

import pytest

from data.errors import RefusedError
from pipeline.cluster.read_arguments import read_arguments

_LEAST = [
    "--executor_class_path", "a.B", "--json_serialized_invocation_args", "{}",
    "--node_id", "Trainer", "--pipeline_name", "boxes",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _no_run_id(monkeypatch):
    monkeypatch.delenv("DECONVFLOW_RUN_ID", raising=False)


def test_what_is_not_ours_is_beams():
    step = read_arguments(
        [*_LEAST, "--run_id", "r-1", "--override", "trainer.epochs=5", "--override", "trainer.seed=",
         "--runner=FlinkRunner", "--flink_master", "host:8081"]
    )  # fmt: skip
    assert (step.node_id, step.pipeline_name, step.run_id) == ("Trainer", "boxes", "r-1")
    assert step.overrides == ("trainer.epochs=5", "trainer.seed=")
    assert step.beam_args == ("--runner=FlinkRunner", "--flink_master", "host:8081")


def test_no_option_of_beam_is_taken_for_the_beginning_of_ours():
    assert read_arguments([*_LEAST, "--run", "x", "--node=y"]).beam_args == ("--run", "x", "--node=y")


@pytest.mark.parametrize("unreplaced", ["$(DECONVFLOW_RUN_ID)", "{{$.pipeline_job_uuid}}", ""])
def test_a_placeholder_that_nobody_replaced_is_no_run_id(monkeypatch, unreplaced):
    assert read_arguments([*_LEAST, "--run_id", unreplaced]).run_id is None
    monkeypatch.setenv("DECONVFLOW_RUN_ID", "from-the-label")
    assert read_arguments([*_LEAST, "--run_id", unreplaced]).run_id == "from-the-label"


@pytest.mark.parametrize("missing", ["executor_class_path", "node_id", "pipeline_name"])
def test_what_is_missing_is_named(missing):
    at = _LEAST.index(f"--{missing}")
    with pytest.raises(RefusedError, match=f"--{missing} is missing"):
        read_arguments(_LEAST[:at] + _LEAST[at + 2 :])
