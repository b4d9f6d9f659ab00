"""Every command that takes --json has a schema, and prints what it promises."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import click
import jsonschema
import numpy as np
import pytest
from PIL import Image
from typer.main import get_command

from pipeline import cli
from pipeline.command_documents import RunDocument
from pipeline.run_local import RunResult
from pipeline.schemas import DOCUMENTS, schema_of
from pipeline.tracking import ComponentRun, RunRecord


def _walk(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    for name, child in getattr(command, "commands", {}).items():
        yield from _walk(child, (*path, name))
    if not hasattr(command, "commands"):
        yield " ".join(path), command


def _commands_with_json() -> list[str]:
    return [
        name
        for name, command in _walk(get_command(cli.app))
        if any("--json" in parameter.opts for parameter in command.params)
    ]


def test_the_walk_finds_commands():
    assert {"run", "check", "init", "runs", "show", "compare", "lineage"} <= set(_commands_with_json())


@pytest.mark.parametrize("command", _commands_with_json())
def test_every_command_with_json_has_a_schema(command):
    assert command in DOCUMENTS, f"describe what `{command} --json` prints in pipeline/schemas.py"
    jsonschema.Draft202012Validator.check_schema(schema_of(command))


def _validate(text: str, name: str) -> dict:
    document = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    jsonschema.validate(document, schema_of(name))
    assert json.loads(DOCUMENTS[name].model_validate(document).model_dump_json()) == document
    return dict(document)


@pytest.fixture
def folder(tmp_path, write_pairs) -> Path:
    write_pairs(tmp_path / "data", {"train": 3, "val": 2, "test": 1})
    return tmp_path / "data"


def test_init_and_check_print_their_documents(call, folder, tmp_path):
    done = call("init", folder, "--out", tmp_path / "my.yaml", "--json")
    document = _validate(done.out, "init")
    assert (done.status, document["config"]) == (0, str(tmp_path / "my.yaml"))
    document = _validate(call("check", folder, "--json").out, "check")
    assert document["report"]["splits"]["val"]["pairs"] == 2
    done = call("check", "--config", tmp_path / "my.yaml", "--json")
    document = _validate(done.out, "check --config")
    assert document["ok"] and document["pairs"] == 6


def test_problems_of_a_data_set_are_part_of_the_document(call, folder, tmp_path):
    call("init", folder, "--out", tmp_path / "my.yaml", "--json")
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(folder / "masks/train/train-001.png")
    done = call("check", "--config", tmp_path / "my.yaml", "--json")
    (problem,) = _validate(done.out, "check --config")["problems"]
    assert done.status == 2
    assert "train-001.png" in problem["where"] and problem["sentence"].startswith(problem["where"])
    _validate(call("check", folder, "--json").out, "check")
    _validate(call("init", folder, "--out", tmp_path / "other.yaml", "--json").out, "init")


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--config", "nowhere.yaml"),
        ("run", "--store", "mysql://db"),
        ("check", "nowhere"),
        ("init", "nowhere", "--out", "nowhere.yaml"),
        ("runs", "--workspace", "nowhere"),
        ("show", "--workspace", "nowhere"),
        ("compare", "a", "b", "--workspace", "nowhere"),
        ("lineage", "a", "--workspace", "nowhere"),
    ],
    ids=" ".join,
)
def test_a_refusal_is_a_document_too(call, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = call(*arguments, "--json")
    assert done.status == 2
    document = _validate(done.out, "refusal")
    assert [problem["sentence"] for problem in document["problems"]] == done.err.splitlines()


def _result(**values) -> RunResult:
    record = RunRecord(run_id="run-1", pipeline="p", started=1.5, status="failed", seconds=2.0, **values)
    return RunResult(record, (ComponentRun("Trainer", "failed", 1.23456, 7),), {}, ("a: b. Do c.",))


def test_run_prints_its_document_also_where_a_metric_is_undefined():
    metrics = {"test": {"mean_iou": math.nan, "pixel_accuracy": 0.5, "iou": {"a": math.nan, "b": 0.25}}}
    document = _validate(_result(metrics=metrics).to_document().model_dump_json(), "run")
    assert document["components"] == [{"id": "Trainer", "state": "failed", "seconds": 1.235}]
    assert document["metrics"]["test"]["mean_iou"] is None
    assert document["metrics"]["test"]["iou"] == {"a": None, "b": 0.25}
    assert document["problems"] == ["a: b. Do c."]


def test_run_has_the_keys_that_others_rely_on():
    assert {"run_id", "status", "blessed", "pushed_uri", "report_uri", "metrics", "components"} <= set(
        RunDocument.model_fields
    )
    gate = {"metric": "mean_iou", "split": "test", "kind": "floor", "bound": 0.5, "value": 0.25}
    gate |= {"baseline_value": None, "passed": False, "sentence": "too low"}
    result = RunResult(_result().record, (), {"gates": [gate]})
    assert _validate(result.to_document().model_dump_json(), "run")["gates"] == [gate]
