from __future__ import annotations

import pytest

from pipeline import choose_runner as module
from pipeline.choose_runner import FN_API_RUNNER, choose_runner

PINNED = f"--runner={FN_API_RUNNER}"


@pytest.fixture
def beam(monkeypatch):
    """Sets Beam's version."""

    def install(number):
        monkeypatch.setattr(module, "version", lambda name: {"apache-beam": number}[name])

    return install


@pytest.mark.parametrize("number", ["2.60.0", "2.9.0", "1.99"])
def test_a_beam_without_prism_is_left_to_itself(beam, number):
    beam(number)
    assert choose_runner(["--direct_num_workers=2"]) == ("--direct_num_workers=2",)


@pytest.mark.parametrize("number", ["2.61.0", "2.77.0", "2.100.0rc1", "3.0.0"])
def test_a_later_one_is_told_not_to_fetch_it(beam, number):
    beam(number)
    assert choose_runner([]) == (PINNED,)
    assert choose_runner(["--runner_option=1"]) == ("--runner_option=1", PINNED)


@pytest.mark.parametrize("named", [("--runner=FlinkRunner",), ("--runner", "DirectRunner")])
def test_a_runner_that_is_named_is_taken(beam, named):
    beam("2.77.0")
    assert choose_runner(["--a", *named]) == ("--a", *named)


@pytest.mark.slow
def test_the_runner_runs():
    import apache_beam as beam
    from apache_beam.testing.util import assert_that, equal_to

    with beam.Pipeline(argv=[PINNED]) as pipeline:
        assert type(pipeline.runner).__name__ == "FnApiRunner"
        counts = pipeline | beam.Create([1, 2, 3]) | beam.combiners.Count.Globally()
        assert_that(counts, equal_to([3]))


@pytest.mark.slow
def test_local_runs_are_told_and_compiled_pipelines_choose_where_they_run(beam, tmp_path):
    from pipeline.cluster.compile_spec import compile_pipeline
    from pipeline.config import load_config, preset_path
    from pipeline.dag import DatasetShape, create_pipeline
    from pipeline.workspace import Workspace

    config = load_config(preset_path("digits"), ["beam.args=[--direct_num_workers=2]"])
    before = compile_pipeline(config).to_yaml()
    beam("2.77.0")
    shape = DatasetShape((), ("train",))
    local = create_pipeline(config, Workspace(tmp_path), shape)
    assert local.beam_pipeline_args == ["--direct_num_workers=2", PINNED]
    assert compile_pipeline(config).to_yaml() == before
    assert "--direct_num_workers=2" in before
