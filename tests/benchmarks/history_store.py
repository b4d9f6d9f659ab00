"""Writes a history of runs as TFX writes it, through MLMD's own API and without running anything.

What TFX 1.16's LocalDagRunner leaves was read off real workspaces: contexts (pipeline, pipeline_run, node,
execution_cache), an execution a component with its parameters as custom properties, INPUT and OUTPUT events,
attributions of every artifact to the contexts of whoever made or took it, and CACHED executions whose OUTPUT
events name the artifacts of an earlier run. The cache here goes by the same key as TFX's: the component, its
parameters and its input artifacts.

    python tests/benchmarks/history_store.py WORKSPACE --runs 1000
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(REPOSITORY))

from ml_metadata import MetadataStore  # noqa: E402
from ml_metadata.proto import metadata_store_pb2 as pb  # noqa: E402

from pipeline import shared_facts, tracking  # noqa: E402

Pairs = tuple[tuple[str, str, str, str], ...]
"""(id, split, content of the image, content of the mask)."""

_FILLER = "x" * 8_000
"""About what TFX's own parameters (stats_options_json, eval_config) weigh."""


@dataclass(frozen=True)
class Node:
    """One component of the DAG."""

    type_name: str
    inputs: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """(producer, its output) by input key."""
    outputs: Mapping[str, str] = field(default_factory=dict)
    """Type by output key."""


_EXAMPLES = ("SegmentationExampleGen", "examples")
_SCHEMA = ("ImportSchemaGen", "schema")
_STATISTICS = ("StatisticsGen", "statistics")
_MODEL = ("Trainer", "model")
NODES: dict[str, Node] = {
    "DatasetSnapshot": Node(
        "components.dataset_snapshot.DatasetSnapshot",
        outputs={"snapshot": "DatasetSnapshot", "fingerprint": "String"},
    ),
    "ImportSchemaGen": Node(
        "tfx.components.schema_gen.import_schema_gen.component.ImportSchemaGen", outputs={"schema": "Schema"}
    ),
    "SegmentationExampleGen": Node(
        "components.segmentation_example_gen.SegmentationExampleGen",
        {"_DatasetSnapshot.fingerprint": ("DatasetSnapshot", "fingerprint")},
        {"examples": "Examples"},
    ),
    "StatisticsGen": Node(
        "tfx.components.statistics_gen.component.StatisticsGen",
        {"examples": _EXAMPLES},
        {"statistics": "ExampleStatistics"},
    ),
    "ExampleValidator": Node(
        "tfx.components.example_validator.component.ExampleValidator",
        {"statistics": _STATISTICS, "schema": _SCHEMA},
        {"anomalies": "ExampleAnomalies"},
    ),
    "DataGate": Node(
        "components.data_gate.DataGate",
        {"examples": _EXAMPLES, "statistics": _STATISTICS, "schema": _SCHEMA,
         "anomalies": ("ExampleValidator", "anomalies")},
        {"report": "DataGateReport"},
    ),
    "Transform": Node(
        "tfx.components.transform.component.Transform",
        {"examples": _EXAMPLES, "schema": _SCHEMA},
        {"transform_graph": "TransformGraph", "transformed_examples": "Examples"},
    ),
    "Trainer": Node(
        "tfx.components.trainer.component.Trainer",
        {"examples": ("Transform", "transformed_examples"), "schema": _SCHEMA,
         "transform_graph": ("Transform", "transform_graph")},
        {"model": "Model", "model_run": "ModelRun"},
    ),
    "BaselineModel": Node(
        "components.baseline_model.BaselineModel", {"model": _MODEL}, {"baseline_uri": "String"}
    ),
    "ServingSmokeTest": Node(
        "components.serving_smoke_test.ServingSmokeTest",
        {"model": _MODEL, "examples": _EXAMPLES},
        {"blessing": "InfraBlessing"},
    ),
    "Evaluator": Node(
        "components.evaluator.Evaluator",
        {"model": _MODEL, "examples": _EXAMPLES,
         "_BaselineModel.baseline_uri": ("BaselineModel", "baseline_uri")},
        {"evaluation": "ModelEvaluation", "blessing": "ModelBlessing"},
    ),
    "Pusher": Node(
        "components.pusher.Pusher",
        {"model": _MODEL, "model_blessing": ("Evaluator", "blessing"),
         "infra_blessing": ("ServingSmokeTest", "blessing"), "statistics": _STATISTICS},
        {"pushed_model": "PushedModel"},
    ),
    "RunReport": Node(
        "components.run_report.RunReport",
        {"model": _MODEL, "evaluation": ("Evaluator", "evaluation"), "examples": _EXAMPLES},
        {"report": "RunReportPage"},
    ),
}  # fmt: skip
NEVER_CACHED = frozenset({"DataGate"})


def make_pairs(train: int = 4, val: int = 2, test: int = 2) -> Pairs:
    """Returns pairs named like those of the boxes in tests/journey."""
    counts = {"test": test, "train": train, "val": val}
    return tuple(
        (f"{split}/scene_{i:03d}", split, f"image {split} {i}", f"mask {split} {i}")
        for split, count in counts.items()
        for i in range(count)
    )


def make_configuration(name: str = "boxes", root: str = "/data/boxes") -> dict[str, Any]:
    """Returns a configuration of the size and shape of a real one."""
    return {
        "name": name,
        "augment": {"brightness": 0.1, "contrast": 0.2, "flip_horizontal": True},
        "data": {
            "root": root,
            "layout": "folder",
            "classes": [{"id": 0, "name": "background"}, {"id": 1, "name": "box"}, {"id": 2, "name": "rare"}],
            "ignore_id": 255,
            "void_values": [255],
        },
        "evaluation": {
            "splits": ["val", "test"],
            "gate_split": "test",
            "slices": [["site"]],
            "gates": {"floors": {"mean_iou": 0.5}, "max_drop": {"mean_iou": 0.01}},
        },
        "trainer": {
            "batch_size": 8,
            "epochs": 25,
            "learning_rate": 0.01,
            "model": {"head": "fcn8s", "width": 8, "dropout": 0.0},
            "optimizer": "adamw",
        },
        "transform": {"height_px": 40, "width_px": 56},
    }


@dataclass
class PlannedRun:
    """What a run is to look like."""

    run_id: str
    pairs: Pairs = field(default_factory=make_pairs)
    configuration: dict[str, Any] = field(default_factory=make_configuration)
    code: dict[str, str] = field(default_factory=lambda: {"data/a.py": "1" * 64, "trainer/b.py": "2" * 64})
    environment: dict[str, Any] = field(
        default_factory=lambda: {"python": "3.11.7", "packages": {"tfx": "1.16.0"}}
    )
    matrix: Sequence[Sequence[int]] = ((90, 10, 0), (20, 80, 0), (0, 0, 0))
    """Confusion matrix of the test split; the evaluation of val says the same."""
    fails_at: str | None = None
    status: str = "pushed"
    error: str | None = None
    started: float | None = None
    version: int = 1
    concluded: bool = True


@dataclass
class _Made:
    """An artifact that a component made; id and URI come with the store's answer."""

    type_name: str
    key: str
    id: int = 0
    uri: Path = Path()


@dataclass
class _Planned:
    """An execution on its way into the store."""

    run: PlannedRun
    name: str
    contexts: list[tuple[str, str]]
    """(type, name)"""
    inputs: dict[str, _Made]
    outputs: dict[str, _Made]
    state: int
    parameters: dict[str, str]
    id: int = 0


class HistoryStore:
    """A workspace whose store is written run by run."""

    def __init__(self, workspace: Path, with_files: bool = True) -> None:
        """Opens or makes the store.

        Args:
            workspace: its folder.
            with_files: whether artifacts have files, as in a workspace that was not pruned.
        """
        self.workspace = workspace
        self._with_files = with_files
        workspace.mkdir(parents=True, exist_ok=True)
        config = pb.ConnectionConfig()
        config.sqlite.filename_uri = str(workspace / "metadata.sqlite")
        config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        self.store = MetadataStore(config)
        self._types: dict[tuple[str, str], int] = self._read_types()
        self._contexts: dict[tuple[str, str], int] = {}
        self._facts: dict[str, str] = {}
        self._cache: dict[str, dict[str, _Made]] = {}

    def register_types(self) -> None:
        """Writes all types into an empty store: a copy of its file is where a test can start at once."""
        for kind in ("pipeline", "pipeline_run", "node", "execution_cache"):
            self._type("context", kind)
        for node in NODES.values():
            self._type("execution", node.type_name)
            for type_name in node.outputs.values():
                self._type("artifact", type_name)

    def add_run(self, run: PlannedRun) -> None:
        """Writes one run: its context, its components and what came of it."""
        self.add_runs([run])

    def add_runs(self, runs: Sequence[PlannedRun]) -> None:
        """Writes several runs, one after the other, with few calls."""
        planned = [execution for run in runs for execution in self._plan(run)]
        self._put_contexts(runs, planned)
        ids = self.store.put_executions([self._execution(one) for one in planned])
        for one, execution_id in zip(planned, ids, strict=True):
            one.id = execution_id
        self._put_artifacts([one for one in planned if one.state == pb.Execution.COMPLETE])
        self._link(planned)

    def _plan(self, run: PlannedRun) -> list[_Planned]:
        pipeline = run.configuration["name"]
        made: dict[tuple[str, str], _Made] = {}
        planned = []
        for name, node in NODES.items():
            inputs = {key: made[source] for key, source in node.inputs.items()}
            parameters = self._parameters(run, name)
            key = json.dumps([pipeline, name, [id(artifact) for artifact in inputs.values()], parameters])
            failed = name == run.fails_at
            cached = None if name in NEVER_CACHED or failed else self._cache.get(key)
            outputs = cached or {output: _Made(kind, output) for output, kind in node.outputs.items()}
            outputs = {} if failed else outputs
            state = (
                pb.Execution.CACHED if cached else pb.Execution.FAILED if failed else pb.Execution.COMPLETE
            )
            cache = ("execution_cache", hashlib.sha256(key.encode()).hexdigest())
            contexts = [
                ("pipeline", pipeline), ("pipeline_run", run.run_id), ("node", f"{pipeline}.{name}"), cache,
            ]  # fmt: skip
            planned.append(_Planned(run, name, contexts, inputs, outputs, state, parameters))
            if failed:
                break
            self._cache[key] = outputs
            made.update({(name, output): artifact for output, artifact in outputs.items()})
        return planned

    def _put_contexts(self, runs: Sequence[PlannedRun], planned: Sequence[_Planned]) -> None:
        wanted = {context for one in planned for context in one.contexts} - self._contexts.keys()
        of_runs = {run.run_id: run for run in runs}
        contexts = []
        for kind, name in sorted(wanted):
            context = pb.Context(type_id=self._type("context", kind), name=name)
            if kind == "pipeline_run":
                for key, value in self._run_properties(of_runs[name]).items():
                    context.custom_properties[key].string_value = value
            contexts.append(context)
        ids = self.store.put_contexts(contexts) if contexts else []
        self._contexts.update(zip(sorted(wanted), ids, strict=True))
        self.store.put_parent_contexts(
            [
                pb.ParentContext(
                    child_id=self._contexts["pipeline_run", run.run_id],
                    parent_id=self._contexts["pipeline", run.configuration["name"]],
                )
                for run in runs
            ]
        )

    def _run_properties(self, run: PlannedRun) -> dict[str, str]:
        properties = {
            tracking.CONFIG_PROPERTY: json.dumps(run.configuration, sort_keys=True),
            tracking.PROCESS_PROPERTY: json.dumps({"pid": 1, "host": "elsewhere.example", "started": "1"}),
            tracking.CODE_PROPERTY: self._put_facts(shared_facts.CODE_CONTEXT_TYPE, run.code),
            tracking.ENVIRONMENT_PROPERTY: self._put_facts(
                shared_facts.ENVIRONMENT_CONTEXT_TYPE, run.environment
            ),
        }
        if run.concluded:
            properties[tracking.SUMMARY_PROPERTY] = json.dumps(self._summarise(run))
        return properties

    def _put_facts(self, kind: str, facts: Mapping[str, Any]) -> str:
        key = fingerprint(facts)
        if key not in self._facts:
            self._facts[key] = shared_facts.put_facts(self.store, kind, facts)
        return self._facts[key]

    def _summarise(self, run: PlannedRun) -> dict[str, Any]:
        evaluated = run.fails_at is None or list(NODES).index(run.fails_at) > list(NODES).index("Evaluator")
        pushed = run.status == "pushed"
        summary: dict[str, Any] = {
            "status": run.status,
            "seconds": 60.0,
            "blessed": (pushed if evaluated else None),
            "data_fingerprint": fingerprint(run.pairs),
            "metrics": {split: metrics_of(run) for split in ("val", "test")} if evaluated else {},
        }
        if run.error is not None:
            summary["error"] = run.error
        if run.started is not None:
            summary["started"] = run.started
        if pushed:
            summary |= {"pushed_version": run.version, "pushed_uri": str(self.served(run))}
        return summary

    def _execution(self, planned: _Planned) -> pb.Execution:
        execution = pb.Execution(
            type_id=self._type("execution", NODES[planned.name].type_name),
            last_known_state=planned.state,
            name=f"{planned.run.run_id}.{planned.name}",
        )
        for parameter, value in planned.parameters.items():
            execution.custom_properties[parameter].string_value = value
        return execution

    def _put_artifacts(self, planned: Sequence[_Planned]) -> None:
        made = [(one, artifact) for one in planned for artifact in one.outputs.values()]
        for one, artifact in made:
            root = self.workspace / "pipelines" / one.run.configuration["name"] / one.name
            folder = root / artifact.key / str(one.id)
            artifact.uri = folder / "value" if artifact.type_name == "String" else folder
        ids = self.store.put_artifacts([self._artifact(one.run, artifact) for one, artifact in made])
        for (one, artifact), artifact_id in zip(made, ids, strict=True):
            artifact.id = artifact_id
            if self._with_files:
                self._write_files(one.run, one.name, artifact.key, artifact.uri)

    def _parameters(self, run: PlannedRun, name: str) -> dict[str, str]:
        """Returns a component's parameters: what its place in the cache depends on besides its inputs."""
        sections = {
            "Trainer": ("augment", "data", "trainer", "transform"),
            "Transform": ("data", "transform"),
        }
        values = {"config": json.dumps({k: run.configuration[k] for k in sections.get(name, ())})}
        if name == "DatasetSnapshot":
            values = {"found_fingerprint": fingerprint(run.pairs)}
        if name == "SegmentationExampleGen":
            values = {"fingerprint": fingerprint(run.pairs)}
        if name in ("Trainer", "Transform", "SegmentationExampleGen"):
            values["code_fingerprint"] = fingerprint(run.code)
        if name == "Evaluator":
            values["evaluation_config"] = json.dumps(run.configuration["evaluation"])
            values["baseline_uri"] = ""
            values["eval_config"] = _FILLER
        if name == "StatisticsGen":
            values["stats_options_json"] = _FILLER
        if name == "DataGate":
            values["report_dir"] = str(self.workspace / "gate" / run.configuration["name"])
        return values

    def _artifact(self, run: PlannedRun, made: _Made) -> pb.Artifact:
        artifact = pb.Artifact(
            type_id=self._type("artifact", made.type_name), uri=str(made.uri), state=pb.Artifact.LIVE
        )
        properties = artifact.custom_properties
        properties["tfx_version"].string_value = "1.16.0"
        if made.type_name == "DatasetSnapshot":
            artifact.properties["fingerprint"].string_value = fingerprint(run.pairs)
            artifact.properties["pairs"].int_value = len(run.pairs)
        if made.type_name in ("ModelBlessing", "InfraBlessing"):
            properties["blessed"].int_value = int(run.status == "pushed")
        if made.type_name == "PushedModel":
            properties["pushed"].int_value = int(run.status == "pushed")
            if run.status == "pushed":
                properties["pushed_destination"].string_value = str(self.served(run))
                properties["pushed_version"].string_value = str(run.version)
        return artifact

    def _write_files(self, run: PlannedRun, name: str, key: str, uri: Path) -> None:
        files: dict[str, str] = {}
        if (name, key) == ("DatasetSnapshot", "snapshot"):
            files["snapshot.jsonl"] = "".join(json.dumps(row) + "\n" for row in snapshot_rows(run))
        elif (name, key) == ("DatasetSnapshot", "fingerprint"):
            write(uri, fingerprint(run.pairs))
            return
        elif name == "SegmentationExampleGen":
            files = {f"Split-{split}/data_tfrecord-00000-of-00001": "" for split in ("train", "val", "test")}
        elif (name, key) == ("Evaluator", "evaluation"):
            files["metrics.json"] = json.dumps(evaluation_of(run))
        elif (name, key) == ("Evaluator", "blessing"):
            files["verdict.json"] = json.dumps(verdict_of(run, fingerprint(run.pairs)))
        elif name == "DataGate":
            files["report.json"] = json.dumps(gate_report(True))
        elif (name, key) == ("Trainer", "model_run"):
            files["training.json"] = json.dumps(
                {
                    "devices": ["CPU:0"], "epochs": 25, "best_epoch": 20,
                    "deterministic": {"bit_equal": True, "reason": "one CPU device"},
                }
            )  # fmt: skip
        elif name == "ServingSmokeTest":
            files["smoke_test.json"] = json.dumps({"blessed": True, "reasons": []})
        elif name == "Pusher" and run.status == "pushed":
            write(self.served(run) / "manifest.json", json.dumps(self._manifest(run)))
        files = files or {"file": ""}
        for path, content in files.items():
            write(uri / path, content)

    def _manifest(self, run: PlannedRun) -> dict[str, Any]:
        classes = [entry | {"colour": [1, 2, 3]} for entry in run.configuration["data"]["classes"]]
        return {
            "name": run.configuration["name"], "version": run.version, "run_id": run.run_id,
            "created": "2026-11-23T15:59:28+00:00", "classes": classes, "ignore_id": 255,
            "metrics": {split: metrics_of(run) for split in ("val", "test")},
            "data_fingerprint": fingerprint(run.pairs), "code_fingerprint": fingerprint(run.code),
            "model_fingerprint": fingerprint(run.run_id), "files": {}, "stack": {"python": "3.11.7"},
        }  # fmt: skip

    def _link(self, planned: Sequence[_Planned]) -> None:
        events, attributions, associations = [], set(), []
        for one in planned:
            contexts = [self._contexts[context] for context in one.contexts]
            for kind, artifacts in ((pb.Event.INPUT, one.inputs), (pb.Event.OUTPUT, one.outputs)):
                for key, artifact in artifacts.items():
                    event = pb.Event(artifact_id=artifact.id, execution_id=one.id, type=kind)
                    event.path.steps.add(key=key)
                    event.path.steps.add(index=0)
                    events.append(event)
                    attributions |= {(artifact.id, context) for context in contexts}
            associations += [pb.Association(execution_id=one.id, context_id=c) for c in contexts]
        self.store.put_events(events)
        self.store.put_attributions_and_associations(
            [pb.Attribution(artifact_id=a, context_id=c) for a, c in sorted(attributions)], associations
        )

    def served(self, run: PlannedRun) -> Path:
        """Returns the folder of the version that a run pushes."""
        return self.workspace / "serving" / run.configuration["name"] / str(run.version)

    def _read_types(self) -> dict[tuple[str, str], int]:
        return {
            (kind, found.name): found.id
            for kind, types in (
                ("context", self.store.get_context_types()),
                ("execution", self.store.get_execution_types()),
                ("artifact", self.store.get_artifact_types()),
            )
            for found in types
        }

    def _type(self, kind: str, name: str) -> int:
        if (kind, name) not in self._types:
            if kind == "execution":
                type_id = self.store.put_execution_type(pb.ExecutionType(name=name))
            elif kind == "context":
                type_id = self.store.put_context_type(pb.ContextType(name=name))
            else:
                artifact_type = pb.ArtifactType(name=name)
                if name == "DatasetSnapshot":
                    artifact_type.properties["fingerprint"] = pb.STRING
                    artifact_type.properties["pairs"] = pb.INT
                type_id = self.store.put_artifact_type(artifact_type)
            self._types[kind, name] = type_id
        return self._types[kind, name]


def snapshot_rows(run: PlannedRun) -> list[dict[str, str]]:
    """Returns the lines of snapshot.jsonl."""
    root = run.configuration["data"]["root"]
    return [
        {
            "id": image_id,
            "split": split,
            "image_sha256": fingerprint(image),
            "mask_sha256": fingerprint(mask),
            "image_path": f"{root}/images/{image_id}.png",
            "mask_path": f"{root}/masks/{image_id}.png",
        }
        for image_id, split, image, mask in run.pairs
    ]


def metrics_of(run: PlannedRun) -> dict[str, Any]:
    """Returns metrics worked out here from the confusion matrix, in plain Python."""
    matrix, names = run.matrix, [entry["name"] for entry in run.configuration["data"]["classes"]]
    total = sum(map(sum, matrix))
    truth = [sum(row) for row in matrix]
    union = [truth[i] + sum(row[i] for row in matrix) - matrix[i][i] for i in range(len(matrix))]
    iou = [matrix[i][i] / union[i] if union[i] else None for i in range(len(matrix))]
    recall = [matrix[i][i] / truth[i] for i in range(len(matrix)) if truth[i]]
    known = [value for value in iou if value is not None]
    return {
        "pixel_accuracy": sum(matrix[i][i] for i in range(len(matrix))) / total,
        "mean_class_accuracy": sum(recall) / len(recall),
        "mean_iou": sum(known) / len(known),
        "frequency_weighted_iou": sum(t * (v or 0) for t, v in zip(truth, iou, strict=True)) / total,
        "iou": dict(zip(names, iou, strict=True)),
    }


def evaluation_of(run: PlannedRun) -> dict[str, Any]:
    """Returns the content of metrics.json."""
    names = [entry["name"] for entry in run.configuration["data"]["classes"]]
    result = {
        "num_images": 2,
        "metrics": metrics_of(run),
        "confusion_matrix": [list(row) for row in run.matrix],
    }
    in_slice = {"split": "test", "features": {"attribute/site": "north"}, **result}
    return {
        "class_names": names,
        "splits": {"val": result, "test": result},
        "slices": [in_slice],
        "baseline": None,
    }


def verdict_of(run: PlannedRun, data_fingerprint: str) -> dict[str, Any]:
    """Returns the content of verdict.json."""
    value = metrics_of(run)["mean_iou"]
    gate = {
        "metric": "mean_iou", "split": "test", "kind": "floor", "bound": 0.5, "value": value,
        "baseline_value": None, "passed": run.status == "pushed",
        "sentence": f"mean_iou on test is {value:.4f}.",
    }  # fmt: skip
    return {
        "blessed": run.status == "pushed", "gates": [gate], "metrics": {"test": metrics_of(run)},
        "num_images": {"test": 2}, "slices": [], "baseline": None, "data_fingerprint": data_fingerprint,
        "code_fingerprint": "3" * 64, "model_fingerprint": fingerprint(run.run_id), "notes": ["A note."],
    }  # fmt: skip


def gate_report(passed: bool) -> dict[str, Any]:
    """Returns the content of the data gate's report.json."""
    finding = {
        "check": "schema", "split": "train", "feature": "mask/void_share", "what": "is 1.0 in 1 image",
        "image_ids": ["train/scene_000"], "total": 1,
    }  # fmt: skip
    return {
        "passed": passed, "limits": {"max_void_share": 0.95}, "served_version": None,
        "examples": {"train": 4, "val": 2, "test": 2}, "findings": [] if passed else [finding],
        "distances": [], "notes": ["The split val has 2 images."],
    }  # fmt: skip


def fingerprint(value: Any) -> str:
    """Returns a SHA-256 that stands for any JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def write(path: Path, content: str) -> None:
    """Writes a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def write_many(workspace: Path, count: int, with_files: bool = False) -> None:
    """Writes a long history of two pipelines: now and then data, code or a setting changes."""
    history = HistoryStore(workspace, with_files)
    plan = [plan_run(index) for index in range(count)]
    for start in range(0, count, 50):
        history.add_runs(plan[start : start + 50])


def plan_run(index: int) -> PlannedRun:
    """Returns one run of the long history."""
    name = "boxes" if index % 4 else "roads"
    configuration = make_configuration(name)
    configuration["trainer"]["epochs"] = 10 + index // 3
    pairs = tuple((*pair[:3], f"mask of {index // 25}") for pair in make_pairs(40, 8, 8))
    hit = 50 + index % 50
    return PlannedRun(
        f"2026{index // 800 + 1:02d}{index // 29 % 28 + 1:02d}-120000-{index:04x}",
        pairs=pairs,
        configuration=configuration,
        code={f"data/module_{i}.py": fingerprint([i, index // 50 * (i == 7)]) for i in range(150)},
        matrix=((hit, 100 - hit, 0), (20, 80, 0), (0, 0, 5)),
        status="pushed" if index % 5 else "not blessed",
        started=1.77e9 + 3600.0 * index,
        version=index + 1,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--files", action="store_true", help="write the artifacts' files, too")
    arguments = parser.parse_args()
    write_many(arguments.workspace, arguments.runs, arguments.files)
