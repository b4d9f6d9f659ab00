"""Baseline, evaluation, smoke test and push, wired and run by TFX itself, with its cache."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from components.config import EvaluationConfig, GatesConfig, SmokeTestConfig
from components.manifest import list_versions, read_manifest, verify_files
from data.classes import ClassTable, SegmentationClass

pytestmark = pytest.mark.slow


@dataclass
class Run:
    """What the newest execution of each component did."""

    states: dict[str, str]
    verdict: dict[str, Any]
    pushed: dict[str, Any]


@pytest.fixture
def run_dag(
    tmp_path: Path,
    write_examples: Callable[..., Any],
    write_model: Callable[..., Any],
    scenes: Any,
    small: Any,
) -> Callable[..., Run]:
    """Runs the four components on the small model of an offset."""
    write_examples(tmp_path / "examples", scenes)
    table = ClassTable(
        tuple(SegmentationClass(i, name, (i, i, i)) for i, name in enumerate(small.CLASS_NAMES)), 255
    )

    def run(offset: int = 0, floors: dict[str, float] | None = None) -> Run:
        if not (tmp_path / f"model-{offset}").exists():
            write_model(tmp_path / f"model-{offset}", offset)
        config = EvaluationConfig(
            gates=GatesConfig(floors=floors or {"mean_iou": 0.1}, max_drop={"mean_iou": 0.01})
        )
        pipeline = _make_pipeline(tmp_path, offset, config, table)
        _execute(pipeline)
        return _read_run(tmp_path)

    return run


def _make_pipeline(root: Path, offset: int, config: EvaluationConfig, table: ClassTable) -> Any:
    from tfx import v1 as tfx

    from components.baseline_model import BaselineModel
    from components.evaluator import Evaluator
    from components.pusher import Pusher
    from components.serving_smoke_test import ServingSmokeTest

    examples = tfx.dsl.Importer(
        source_uri=str(root / "examples"),
        artifact_type=tfx.types.standard_artifacts.Examples,
        properties={"split_names": json.dumps(config.splits)},
        custom_properties={"fingerprint": "data-1"},
    ).with_id("examples")
    model = tfx.dsl.Importer(
        source_uri=str(root / f"model-{offset}"), artifact_type=tfx.types.standard_artifacts.Model
    ).with_id("model")
    serving = str(root / "serving")
    baseline = BaselineModel(model.outputs["result"], serving, table)
    evaluator = Evaluator(
        examples.outputs["result"],
        model.outputs["result"],
        config,
        table.names,
        "code-1",
        baseline.outputs["baseline_uri"].future()[0].value,
    )
    smoke_test = ServingSmokeTest(
        model.outputs["result"],
        examples.outputs["result"],
        SmokeTestConfig(images=2),
        config.gate_split,
        table.names,
        table.ignore_id,
        "code-1",
    )
    pusher = Pusher(
        model.outputs["result"],
        evaluator.outputs["blessing"],
        smoke_test.outputs["blessing"],
        serving,
        "scenes",
        table,
        "code-1",
    )
    return tfx.dsl.Pipeline(
        pipeline_name="gates",
        pipeline_root=str(root / "pipeline"),
        components=[examples, model, baseline, evaluator, smoke_test, pusher],
        enable_cache=True,
        metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
            str(root / "metadata.sqlite")
        ),
    )


def _execute(pipeline: Any) -> None:
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner

    LocalDagRunner().run(pipeline)


def _read_run(root: Path) -> Run:
    from ml_metadata import MetadataStore
    from ml_metadata.proto import metadata_store_pb2
    from tfx.orchestration.metadata import sqlite_metadata_connection_config

    store = MetadataStore(sqlite_metadata_connection_config(str(root / "metadata.sqlite")))
    names = {kind.id: kind.name.split(".")[-1] for kind in store.get_execution_types()}
    executions = sorted(store.get_executions(), key=lambda execution: execution.id)
    newest = {names[execution.type_id]: execution for execution in executions}

    def output(component: str) -> Any:
        events = store.get_events_by_execution_ids([newest[component].id])
        ids = [e.artifact_id for e in events if e.type == metadata_store_pb2.Event.OUTPUT]
        return store.get_artifacts_by_id(ids)

    blessing = next(a for a in output("Evaluator") if a.uri.split("/")[-2] == "blessing")
    (pushed,) = output("Pusher")
    state = metadata_store_pb2.Execution.State.Name
    wanted = ("BaselineModel", "Evaluator", "ServingSmokeTest", "Pusher")
    return Run(
        states={name: state(newest[name].last_known_state) for name in wanted},
        verdict=json.loads((Path(blessing.uri) / "verdict.json").read_text()),
        pushed={
            key: value.string_value or value.int_value for key, value in pushed.custom_properties.items()
        },
    )


def test_a_model_is_pushed_once_and_a_worse_one_never(run_dag: Callable[..., Run], tmp_path: Path) -> None:
    serving = tmp_path / "serving"

    first = run_dag()

    assert set(first.states.values()) == {"COMPLETE"}
    assert first.verdict["blessed"] is True
    assert (first.pushed["pushed"], first.pushed["pushed_version"]) == (1, "1")
    assert first.pushed["pushed_destination"] == str(serving / "1")
    manifest = read_manifest(str(serving / "1"))
    assert verify_files(str(serving / "1")) == []
    assert manifest.metrics["test"].mean_iou == first.verdict["metrics"]["test"]["mean_iou"]
    assert manifest.model_fingerprint == first.verdict["model_fingerprint"]
    assert manifest.data_fingerprint == "data-1"
    assert manifest.run_id != ""

    again = run_dag()

    assert set(again.states.values()) == {"CACHED"}
    assert list_versions(str(serving)) == (1,)

    before = {path: path.read_bytes() for path in serving.rglob("*") if path.is_file()}
    worse = run_dag(offset=30)

    assert worse.verdict["blessed"] is False
    assert worse.verdict["baseline"]["version"] == 1
    assert worse.pushed["pushed"] == 0
    assert {path: path.read_bytes() for path in serving.rglob("*") if path.is_file()} == before

    back = run_dag()

    assert set(back.states.values()) == {"CACHED"}
    assert back.pushed["pushed_version"] == "1"

    (serving / "1").rename(tmp_path / "moved away")
    gone = run_dag()

    assert gone.states["Evaluator"] == "CACHED"
    assert gone.states["Pusher"] == "COMPLETE"
    assert gone.pushed["pushed_version"] == "2"
    assert set(run_dag().states.values()) == {"CACHED"}


def test_one_changed_floor_reruns_the_evaluation_and_the_push_only(run_dag: Callable[..., Run]) -> None:
    run_dag()

    changed = run_dag(floors={"mean_iou": 0.99})

    assert changed.states == {
        "BaselineModel": "CACHED",
        "Evaluator": "COMPLETE",
        "ServingSmokeTest": "CACHED",
        "Pusher": "COMPLETE",
    }
    assert changed.pushed["pushed"] == 0
