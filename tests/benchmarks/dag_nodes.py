"""Runs single components of the real DAG: its executors with its properties, without TFX's records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfx.components.util import examples_utils
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_artifacts

from data.take_snapshot import fingerprint_dataset
from pipeline.choose_runner import choose_runner
from pipeline.config import PipelineConfig
from pipeline.dag import create_pipeline
from pipeline.workspace import Workspace


class DagNodes:
    """The components of a configuration's DAG.

    Args:
        config: with an absolute ``data.root``.
        workspace: a folder for the curated schema; nothing is run by making this.
    """

    def __init__(self, config: PipelineConfig, workspace: Path) -> None:
        self._config = config
        self._nodes = {node.id: node for node in create_pipeline(config, Workspace(workspace)).components}

    def make_examples(self, folder: Path) -> Any:
        """Ingests the data set and returns the artifact of raw examples."""
        fingerprint = fingerprint_dataset(self._config.data)
        return self.ingest(folder, fingerprint)

    def ingest(self, folder: Path, fingerprint: str) -> Any:
        """Runs SegmentationExampleGen on a data set whose snapshot was taken before."""
        return self._run("SegmentationExampleGen", {}, folder, fingerprint=fingerprint)["examples"][0]

    def describe(self, examples: Any, folder: Path) -> Any:
        """Runs StatisticsGen and returns the artifact of the statistics."""
        return self._run("StatisticsGen", {"examples": [examples]}, folder)["statistics"][0]

    def transform(self, examples: Any, folder: Path) -> Any:
        """Runs Transform and returns the artifact of transformed examples."""
        schema = standard_artifacts.Schema()
        schema.uri = str(Path(self._nodes["ImportSchemaGen"].exec_properties["schema_file"]).parent)
        inputs = {"examples": [examples], "schema": [schema]}
        return self._run("Transform", inputs, folder)["transformed_examples"][0]

    def evaluate(self, examples: Any, model_folder: Path, folder: Path, splits: str = "") -> Any:
        """Runs the Evaluator and returns the artifact of the evaluation.

        Args:
            examples: the artifact of raw examples.
            model_folder: of a model artifact: the SavedModel is in ``Format-Serving``.
            folder: for the outputs.
            splits: JSON list; those of the configuration if empty.
        """
        model = standard_artifacts.Model()
        model.uri = str(model_folder)
        changes = {"example_splits": splits} if splits else {}
        inputs = {"examples": [examples], "model": [model]}
        return self._run("Evaluator", inputs, folder, baseline_uri="", **changes)["evaluation"][0]

    def _run(
        self, name: str, inputs: Mapping[str, list[Any]], folder: Path, **properties: Any
    ) -> dict[str, list[Any]]:
        node, outputs = self._nodes[name], {}
        for key, channel in node.outputs.items():
            artifact = channel.type()
            artifact.uri = str(folder / key)
            Path(artifact.uri).mkdir(parents=True)
            outputs[key] = [artifact]
        beam_args = list(choose_runner(self._config.beam.args))
        executor = node.executor_spec.executor_class
        context = executor.Context(beam_pipeline_args=beam_args, tmp_dir=str(folder / "tmp"), unique_id="1")
        executor(context).Do(dict(inputs), outputs, {**node.exec_properties, **properties})
        return outputs


def open_examples(folder: Path, splits: Sequence[str]) -> Any:
    """Returns the artifact of raw examples that an earlier process made."""
    examples = standard_artifacts.Examples()
    examples.uri = str(folder)
    examples.split_names = artifact_utils.encode_split_names(list(splits))
    examples_utils.set_payload_format(examples, example_gen_pb2.PayloadFormat.FORMAT_TF_EXAMPLE)
    return examples
