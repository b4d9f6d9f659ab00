"""The commands: one document with --json, tables without, sentences for what cannot be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from pipeline.schemas import DOCUMENTS, schema_of

REPOSITORY = Path(__file__).resolve().parents[3]


_ASKED = [
    ("runs",),
    ("runs", "--sort", "mean_iou", "--limit", "2"),
    ("runs", "--status", "not-blessed", "--not-blessed"),
    ("show", "latest"),
    ("show", "run-3", "--component", "Trainer"),
    ("compare", "run-1", "run-2"),
    ("compare", "run-1", "run-3", "run-4"),
    ("lineage", "boxes/3"),
    ("lineage", "run-3"),
    ("lineage", "train/scene_001"),
]


@pytest.mark.parametrize("asked", _ASKED, ids=" ".join)
def test_json_is_one_document_of_the_documented_schema(four_runs, ask, asked):
    done = ask(*asked, "--json")
    assert (done.status, done.err) == (0, "")
    document = json.loads(done.out)
    model = DOCUMENTS[asked[0]]
    assert json.loads(model.model_validate(document).model_dump_json()) == document
    jsonschema.validate(document, schema_of(asked[0]))


@pytest.mark.parametrize("asked", _ASKED, ids=" ".join)
def test_without_json_there_is_something_to_read(four_runs, ask, asked):
    done = ask(*asked)
    assert (done.status, done.err) == (0, "")
    assert "run-" in done.out or "Trainer" in done.out


def test_runs_names_changes_metrics_and_versions(four_runs, ask):
    lines = {line.split()[1]: line for line in ask("runs").out.splitlines() if "run-" in line}
    assert list(lines) == ["run-1", "run-2", "run-3", "run-4"]
    assert "trainer.learning_rate 0.01 → 0.02" in lines["run-4"]
    assert "0.7386" in lines["run-1"]  # (90/120 + 80/110) / 2
    assert " code " in lines["run-3"] and "not blessed" in lines["run-3"]


def test_names_are_never_markup(history, writing, ask):
    pairs = (("[red]wicked[/]", "train", "i", "[/]m"), *writing.make_pairs())
    history.add_run(writing.PlannedRun("[bold]r1", pairs=pairs, status="failed", error="[/] no [/red]"))
    history.add_run(writing.PlannedRun("r2"))
    assert "[bold]r1" in ask("runs").out
    shown = ask("show", "[bold]").out
    assert "[bold]r1" in shown and "[/] no [/red]" in shown
    assert "removed: [red]wicked[/] (train)" in ask("compare", "[bold]r1", "r2").out
    assert "[bold]r1" in ask("lineage", "[red]wicked[/]").out
    assert "[red]wicked[/]" in ask("lineage", "[bold]r1", "--all-images").out


def test_runs_filters_and_sorts(four_runs, ask):
    def listed(*arguments):
        return [run["run_id"] for run in json.loads(ask("runs", "--json", *arguments).out)["runs"]]

    assert listed("--blessed") == ["run-1", "run-2", "run-4"]
    assert listed("--status", "not-blessed") == ["run-3"]
    assert listed("--pipeline", "roads") == []
    assert listed("--sort", "mean_iou", "--limit", "1") == ["run-2"]
    assert listed("--limit", "1") == ["run-4"]
    assert listed("--since", "1h") == ["run-1", "run-2", "run-3", "run-4"]
    assert listed("--since", "2999-01-01") == []


def test_a_long_table_is_cut_and_says_so(history, writing, ask):
    history.add_runs([writing.PlannedRun(f"run-{index:03d}") for index in range(60)])
    out = ask("runs").out
    assert "run-059" in out and "run-009" not in out
    assert "50 of 60 runs; --limit 60 shows the rest" in out
    assert len(json.loads(ask("runs", "--json").out)["runs"]) == 60


def test_show_explains_the_latest_run_by_default(four_runs, ask):
    out = ask("show").out
    for part in (
        "run run-4 of boxes",
        "changed since run run-3: trainer.learning_rate",
        "mean IoU",
        "gate passed",
        "same bits again: yes: one CPU device",
    ):
        assert part in out
    assert "DatasetSnapshot (cached, made by run run-2)" in out


def test_show_prints_one_component_in_full(four_runs, ask, writing):
    out = ask("show", "run-1", "--component", "evaluator").out
    assert "x" * 100 in out.replace("\n", "").replace(" ", "").replace("│", "")
    assert "Trainer" not in out.split("model")[0]
    assert ask("show", "run-1", "--component", "Tuner").status == 2


def test_compare_prints_what_differs(four_runs, ask):
    out = ask("compare", "run-1", "run-2").out
    assert "configuration: the same" in out and "code: the same" in out and "environment: the same" in out
    assert "mask changed: train/scene_001 (train)" in out
    assert "trainer/b.py" in ask("compare", "run-2", "run-3").out


def test_lineage_prints_the_way_back_and_the_runs_forward(four_runs, ask):
    out = ask("lineage", "boxes/3", "--all-images").out
    assert (
        out.index("Pusher")
        < out.index("Trainer")
        < out.index("DatasetSnapshot")
        < out.index("4 train images")
    )
    assert all(f"images/train/scene_00{index}.png" in out for index in range(4))
    forward = ask("lineage", "train/scene_001").out
    assert "pushed models trained on it: boxes/1, boxes/2, boxes/3" in forward


def test_models_are_named_in_the_order_of_their_versions_and_long_tables_are_cut(history, writing, ask):
    runs = []
    for index in range(60):
        configuration = writing.make_configuration()
        configuration["trainer"]["epochs"] = index + 1
        runs.append(writing.PlannedRun(f"run-{index:02d}", configuration=configuration, version=index + 1))
    history.add_runs(runs)
    out = ask("lineage", "train/scene_000").out
    assert "run-59" in out and "run-09" not in out and "the newest 50 of 60" in out
    (line,) = [line for line in out.splitlines() if line.startswith("pushed models trained on it")]
    assert line.endswith(", ".join(f"boxes/{version}" for version in range(1, 61)))


def test_lineage_writes_pictures(four_runs, ask, tmp_path):
    svg, dot = tmp_path / "new" / "l.svg", tmp_path / "l.dot"
    assert ask("lineage", "boxes/1", "--svg", svg, "--dot", dot).status == 0
    assert svg.read_text().startswith("<svg") and dot.read_text().startswith("digraph")
    assert sorted(path.name for path in svg.parent.iterdir()) == ["l.svg"]


def test_what_could_be_two_things_can_be_told_apart(history, writing, ask):
    pairs = (*writing.make_pairs(), ("1", "train", "i", "m"))
    history.add_run(writing.PlannedRun("run-1", pairs=pairs))
    assert json.loads(ask("lineage", "1", "--json").out)["kind"] == "model"
    assert json.loads(ask("lineage", "1", "--as", "image", "--json").out)["kind"] == "image"
    assert ask("lineage", "run-1", "--as", "model").status == 2


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("show", "nope"), "run nope: does not exist"),
        (("show", "run"), "beginning of 4 runs"),
        (("compare", "run-1"), "2 to 26"),
        (("compare", "run-1", "run-1"), "named twice"),
        (("lineage", "nope"), "no image in the data of any run"),
        (("runs", "--sort", "accuracy"), "is no order of runs"),
        (("runs", "--status", "done"), "is no state of a run"),
        (("runs", "--since", "soon"), "is no time"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_is_a_sentence_and_status_2(four_runs, ask, asked, says):
    done = ask(*asked)
    assert (done.status, done.out) == (2, "")
    assert says in done.err and "Traceback" not in done.err
    assert json.loads(ask(*asked, "--json").out)["status"] == "refused"


@pytest.mark.parametrize(
    "asked", [("runs",), ("show",), ("compare", "a", "b"), ("lineage", "a")], ids=" ".join
)
def test_a_workspace_without_runs_is_a_sentence(ask, tmp_path, asked):
    done = ask(*asked, workspace=tmp_path / "nothing")
    assert done.status == 2
    assert "no run was recorded in this workspace" in done.err


def test_schema_prints_a_command_s_schema(call):
    assert json.loads(call("schema", "lineage").out) == schema_of("lineage")
    assert call("schema", "schema").status == 2


@pytest.mark.slow
def test_no_command_waits_for_tensorflow_or_tfx(four_runs):
    script = (
        "import sys\n"
        "from pipeline import cli\n"
        "for line in (['runs'], ['show', 'latest'], ['compare', 'run-1', 'run-2'], ['lineage', 'boxes/1'],\n"
        "             ['lineage', 'train/scene_001']):\n"
        f"    cli.app([*line, '--json', '-w', {str(four_runs.workspace)!r}], standalone_mode=False)\n"
        "print({'tensorflow', 'tfx', 'apache_beam', 'keras'} & set(sys.modules), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert len(done.stdout.splitlines()) == 5
    assert done.stderr.strip() == "set()"
