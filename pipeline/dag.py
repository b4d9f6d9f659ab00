"""The DAG, in the order in which a record travels through it.

Code fingerprints: a component's inputs tell TFX's cache what data it works on; the fingerprint of the
source that it runs tells it the rest. Each component names the packages it runs, no more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tfx.components import ExampleValidator, StatisticsGen, Trainer
from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import trainer_pb2, transform_pb2
from tfx.types import BaseChannel

from components.baseline_model import BaselineModel
from components.data_gate import DataGate
from components.dataset_snapshot import DatasetSnapshot
from components.evaluator import Evaluator
from components.pusher import ExtraFormats, Pusher
from components.run_report import RunReport
from components.segmentation_example_gen import SegmentationExampleGen
from components.serving_smoke_test import ServingSmokeTest
from components.statistics_options import build_statistics_options
from components.transform import Transform
from components.tuner import Tuner
from data.build_schema import build_schema, write_schema
from data.classes import build_class_table
from data.errors import Problem, RefusedError
from data.list_dataset import list_dataset
from data.transform_example import preprocessing_fn
from pipeline.choose_runner import choose_runner
from pipeline.config import PipelineConfig, config_json
from pipeline.connect_store import describe_connection
from pipeline.fingerprint_code import fingerprint_code
from pipeline.store_address import find_store
from pipeline.workspace import Workspace
from trainer.read_weights import fingerprint_weights
from trainer.run_fn import run_fn
from trainer.tuner_fn import tuner_fn

ALWAYS_RUN = frozenset({"DataGate"})
"""Nodes that judge what lies outside the DAG's inputs, and so are never taken from the cache."""

_EVALUATION_CODE = (
    "data",
    "trainer",
    "components.baseline_reference",
    "components.bound_batches",
    "components.build_eval_config",
    "components.confusion_matrix_metric",
    "components.evaluation_hooks",
    "components.evaluation_results",
    "components.evaluator",
    "components.fetch_version",
    "components.gates",
    "components.judge_model",
    "components.manifest",
    "components.read_evaluation",
    "components.read_splits",
)
_KEYS_OF_INGEST = ("on_bad_example", "max_bad_share")
_SMOKE_TEST_CODE = (
    "components.serving_smoke_test",
    "components.smoke_test_cases",
    "components.smoke_test_process",
)


class Places(Protocol):
    """Where a pipeline of some name keeps what: a workspace, or the stores that a cluster reaches."""

    def pipeline_root(self, name: str) -> Path | str:
        """TFX's root."""

    def schema_folder(self, name: str) -> Path:
        """Curated schemas, on this machine."""

    def checkpoints(self, name: str) -> Path | str:
        """Training checkpoints."""

    def serving(self, name: str) -> Path | str:
        """Pushed versions."""

    def gate_reports(self, name: str) -> Path | str:
        """What the data gate saw when it stopped a run."""


@dataclass(frozen=True)
class DatasetShape:
    """What the DAG itself depends on of a data set."""

    attributes: tuple[str, ...]
    training_splits: tuple[str, ...]
    """train, and val where there is one."""


def read_shape(config: PipelineConfig) -> DatasetShape:
    """Lists the data set; opens no image.

    Raises:
        RefusedError: if the root is no folder.
    """
    listing = list_dataset(config.data)
    splits = {pair.split for pair in listing.pairs}
    return DatasetShape(
        attributes=tuple(sorted({name for pair in listing.pairs for name, _ in pair.attributes})),
        training_splits=("train", "val") if "val" in splits else ("train",),
    )


def create_pipeline(
    config: PipelineConfig,
    places: Places,
    dataset: DatasetShape | None = None,
    fingerprint: Callable[[Iterable[str]], str] = fingerprint_code,
) -> Pipeline:
    """Returns the TFX pipeline of a configuration.

    It names the metadata store without a password: whoever runs it brings one.

    Args:
        config: validated; ``data.root`` is absolute.
        places: where artifacts, the served versions and the curated schema are.
        dataset: read from the data set if None.
        fingerprint: takes the fingerprint of the code that a component runs, by the names of packages.
    """
    dataset = dataset or read_shape(config)
    data = _DataNodes(config, places, dataset, fingerprint)
    model = _ModelNodes(config, places, data, dataset, fingerprint)
    connection, beam_args = None, config.beam.args
    if isinstance(places, Workspace):
        # The steps of a compiled pipeline choose for themselves: their Beam may be another.
        beam_args = choose_runner(beam_args)
        connection = describe_connection(find_store(places, config.metadata.store))
    return Pipeline(
        pipeline_name=config.name,
        pipeline_root=str(places.pipeline_root(config.name)),
        components=[*vars(data).values(), *vars(model).values()],
        enable_cache=True,
        metadata_connection_config=connection,
        beam_pipeline_args=list(beam_args),
    )


class _DataNodes:
    """From files to transformed examples."""

    def __init__(
        self,
        config: PipelineConfig,
        places: Places,
        dataset: DatasetShape,
        fingerprint: Callable[[Iterable[str]], str],
    ) -> None:
        data_json = config.data.model_dump_json()
        attributes = dataset.attributes
        schema_file = write_schema(build_schema(config.data, attributes), places.schema_folder(config.name))
        self.snapshot = DatasetSnapshot(data_config=data_json)
        self.example_gen = SegmentationExampleGen(
            data_config=data_json,
            fingerprint=self.snapshot.outputs["fingerprint"].future()[0].value,
            code_fingerprint=fingerprint(["data", "components.segmentation_example_gen"]),
        )
        examples = self.example_gen.outputs["examples"]
        self.statistics_gen = StatisticsGen(
            examples=examples, stats_options=build_statistics_options(config.data, attributes)
        )
        statistics = self.statistics_gen.outputs["statistics"]
        self.schema_gen = ImportSchemaGen(schema_file=str(schema_file))
        schema = self.schema_gen.outputs["schema"]
        self.example_validator = ExampleValidator(statistics=statistics, schema=schema)
        self.data_gate = DataGate(
            examples=examples,
            statistics=statistics,
            schema=schema,
            anomalies=self.example_validator.outputs["anomalies"],
            gate_config=config.data_gate.model_dump_json(),
            serving_root=str(places.serving(config.name)),
            report_dir=str(places.gate_reports(config.name)),
        )
        self.transform = Transform(
            examples=examples,
            schema=schema,
            preprocessing_fn=_dotted_path(preprocessing_fn),
            # The test split is only ever read raw, by the Evaluator.
            splits_config=transform_pb2.SplitsConfig(analyze=["train"], transform=dataset.training_splits),
            disable_statistics=True,
            custom_config={
                "config": _sections(config, "data", "transform"),
                "code_fingerprint": fingerprint(["data", "components.transform"]),
            },
        )
        # Only an order, no artifact: a gate that runs each time must not change Transform's cache key.
        self.transform.add_upstream_node(self.data_gate)


class _ModelNodes:
    """From transformed examples to a pushed model and its report."""

    def __init__(
        self,
        config: PipelineConfig,
        places: Places,
        data: _DataNodes,
        dataset: DatasetShape,
        fingerprint: Callable[[Iterable[str]], str],
    ) -> None:
        examples = data.example_gen.outputs["examples"]
        class_table = build_class_table(config.data)
        class_names = [entry.name for entry in class_table.classes]
        serving_root = str(places.serving(config.name))
        training_code = fingerprint(["data", "trainer"])
        if config.tuner is not None:
            self.tuner = _make_tuner(config, places, data, dataset, fingerprint)
        best = self.tuner.outputs["best_hyperparameters"] if config.tuner else None
        trials = self.tuner.outputs["tuner_results"] if config.tuner else None
        self.trainer = Trainer(
            examples=data.transform.outputs["transformed_examples"],
            transform_graph=data.transform.outputs["transform_graph"],
            schema=data.schema_gen.outputs["schema"],
            run_fn=_dotted_path(run_fn),
            train_args=trainer_pb2.TrainArgs(splits=["train"]),
            eval_args=trainer_pb2.EvalArgs(splits=[dataset.training_splits[-1]]),
            hyperparameters=best,
            custom_config={
                "config": _sections(config, "data", "transform", "augment", "trainer", "inference"),
                "code_fingerprint": training_code,
                "validate": "val" in dataset.training_splits,
                "checkpoint_root": str(places.checkpoints(config.name)),
                **_describe_weights(config, places),
            },
        )
        model = self.trainer.outputs["model"]
        self.baseline_model = BaselineModel(model=model, serving_root=serving_root, class_table=class_table)
        self.evaluator = Evaluator(
            examples=examples,
            model=model,
            evaluation_config=config.evaluation,
            class_names=class_names,
            code_fingerprint=fingerprint(_EVALUATION_CODE),
            baseline_uri=self.baseline_model.outputs["baseline_uri"].future()[0].value,
        )
        self.smoke_test = ServingSmokeTest(
            model=model,
            examples=examples,
            smoke_test_config=config.smoke_test,
            split=config.evaluation.gate_split,
            class_names=class_names,
            ignore_id=class_table.ignore_id,
            code_fingerprint=fingerprint(["components.smoke_test_cases", "components.smoke_test_process"]),
        )
        self.pusher = Pusher(
            model=model,
            model_blessing=self.evaluator.outputs["blessing"],
            infra_blessing=self.smoke_test.outputs["blessing"],
            serving_root=serving_root,
            name=config.name,
            class_table=class_table,
            code_fingerprint=training_code,
            statistics=data.statistics_gen.outputs["statistics"],
            formats=_plan_formats(config, examples),
        )
        self.run_report = RunReport(
            pipeline_config=config_json(config),
            evaluation=self.evaluator.outputs["evaluation"],
            blessing=self.evaluator.outputs["blessing"],
            infra_blessing=self.smoke_test.outputs["blessing"],
            model=model,
            model_run=self.trainer.outputs["model_run"],
            statistics=data.statistics_gen.outputs["statistics"],
            anomalies=data.example_validator.outputs["anomalies"],
            examples=examples,
            snapshot=data.snapshot.outputs["snapshot"],
            pushed_model=self.pusher.outputs["pushed_model"],
            tuner_results=trials,
            code_fingerprint=fingerprint(["components.report", "components.run_report"]),
        )


def _plan_formats(config: PipelineConfig, examples: BaseChannel) -> ExtraFormats | None:
    """Returns what is pushed besides the SavedModel; it is tried on the images of the smoke test."""
    wanted = config.push.wanted_formats()
    if not wanted:
        return None
    return ExtraFormats(wanted, examples, config.evaluation.gate_split, config.smoke_test.images)


def _make_tuner(
    config: PipelineConfig,
    places: Places,
    data: _DataNodes,
    dataset: DatasetShape,
    fingerprint: Callable[[Iterable[str]], str],
) -> Tuner:
    """Returns the node that finds values for the Trainer.

    Raises:
        RefusedError: there is no val split to score them by.
    """
    assert config.tuner is not None
    if "val" not in dataset.training_splits:
        what = "needs a val split: by its mean IoU trials are chosen"
        remedy = "Give the data set a val split, or remove the section"
        raise RefusedError([Problem("tuner", what, remedy, "no_validation")])
    return Tuner(
        examples=data.transform.outputs["transformed_examples"],
        tuner_fn=_dotted_path(tuner_fn),
        train_args=trainer_pb2.TrainArgs(splits=["train"]),
        eval_args=trainer_pb2.EvalArgs(splits=["val"]),
        custom_config={
            "config": _sections(config, "data", "transform", "augment", "trainer"),
            "tuner": config.tuner.model_dump_json(),
            "code_fingerprint": fingerprint(["data", "trainer", "components.tuner"]),
            "checkpoint_root": str(places.checkpoints(config.name)),
            **_describe_weights(config, places),
        },
    )


def _describe_weights(config: PipelineConfig, places: Places) -> dict[str, str]:
    """Returns the fingerprint of the weights that training starts from, so that other ones train again.

    Raises:
        RefusedError: they are not there. On a cluster they may lie on a volume that only its steps see.
    """
    path = config.trainer.model.weights_path
    if path is None:
        return {}
    try:
        return {"weights_fingerprint": fingerprint_weights(path)}
    except RefusedError:
        if isinstance(places, Workspace):
            raise
        return {}


def _sections(config: PipelineConfig, *names: str) -> str:
    """Returns some sections of the configuration as canonical JSON.

    Without what only ingest goes by: what it takes shows in its examples.
    """
    sections = {name: getattr(config, name).model_dump(mode="json") for name in names}
    for key in _KEYS_OF_INGEST:
        sections.get("data", {}).pop(key, None)
    return json.dumps(sections, sort_keys=True)


def _dotted_path(function: Callable[..., object]) -> str:
    return f"{function.__module__}.{function.__qualname__}"
