"""RunReport: the last node of the DAG, one self-contained page that explains the run.

It knows what the components of its run handed on. What the metadata store alone knows (who made what in
which run, what the whole run came to) is added when the run is over, from ``images.json`` and the store.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.utils import path_utils

from components.artifact_types import DataGateReport, DatasetSnapshotArtifact, RunReportPage
from components.report.choose_images import MAX_RANKED
from components.report.collect_facts import RunSources, collect_facts
from components.report.keep_images import write_images
from components.report.lineage import MadeArtifact
from components.report.render_report import fingerprint_templates, render_report
from data.replace_file import replace_file

_PUSHED_STRINGS = ("pushed_version", "pushed_destination")


_MAKERS = {
    "pushed_model": "Pusher",
    "blessing": "Evaluator",
    "model": "Trainer",
    "examples": "SegmentationExampleGen",
    "snapshot": "DatasetSnapshot",
}
"""The component that makes each input on the way back to the images, as the DAG has it."""


class Executor(base_executor.BaseExecutor):
    """Writes ``index.html`` and, for pages made later, ``images.json``."""

    def Do(  # noqa: N802 - TFX's name
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Collects the facts of the run and writes its page.

        Args:
            input_dict: see the component; every input may be absent.
            output_dict: report.
            exec_properties: pipeline_config, max_ranked_images.
        """
        run_id = (self._context.pipeline_run_id if self._context else None) or ""
        sources = find_sources(input_dict, json.loads(exec_properties["pipeline_config"]), run_id)
        facts = collect_facts(sources, exec_properties.get("max_ranked_images"))
        report = artifact_utils.get_single_instance(output_dict["report"])
        if facts.images is not None:
            write_images(Path(report.uri), facts.images)
        _write_page(Path(report.uri) / RunReportPage.FILE_NAME, render_report(facts))


def find_sources(
    inputs: Mapping[str, Sequence[types.Artifact]], configuration: Mapping[str, Any], run_id: str
) -> RunSources:
    """Returns where the inputs' files are."""
    first = {key: artifacts[0] for key, artifacts in inputs.items() if artifacts}
    folders = {key: artifact.uri for key, artifact in first.items()}
    pushed = first.get("pushed_model")
    model = folders.get("model")
    return RunSources(
        configuration=configuration,
        run_id=run_id,
        evaluation=folders.get("evaluation"),
        blessing=folders.get("blessing"),
        smoke_test=folders.get("infra_blessing"),
        model=path_utils.serving_model_path(model) if model else None,
        model_run=folders.get("model_run"),
        tuner_results=folders.get("tuner_results"),
        statistics=_split_folders(first.get("statistics")),
        anomalies=_split_folders(first.get("anomalies")),
        gate_report=folders.get("data_gate_report"),
        examples={
            split: [str(path) for path in fileio.glob(f"{folder}/*")]
            for split, folder in _split_folders(first.get("examples")).items()
        },
        examples_folder=folders.get("examples"),
        pushed_model=folders.get("pushed_model"),
        pushed=_pushed_properties(pushed) if pushed is not None else None,
        made=_describe_made(first),
    )


def _describe_made(first: Mapping[str, types.Artifact]) -> dict[str, MadeArtifact]:
    """Returns what is known here of the way back to the images."""
    made = {
        key: MadeArtifact(uri=first[key].uri, maker=maker) for key, maker in _MAKERS.items() if key in first
    }
    if "pushed_model" in made:
        pushed = _pushed_properties(first["pushed_model"])
        facts = {"Version": str(pushed["pushed_version"] or "") if pushed["pushed"] else ""}
        made["pushed_model"] = MadeArtifact(
            uri=str(pushed["pushed_destination"] or ""), maker=_MAKERS["pushed_model"], facts=facts
        )
    if "examples" in made:
        files = [str(path) for path in sorted(fileio.glob(f"{first['examples'].uri}/*/*"))]
        made["examples"] = MadeArtifact(uri=first["examples"].uri, maker=_MAKERS["examples"], files=files)
    return made


def _split_folders(artifact: types.Artifact | None) -> dict[str, str]:
    if artifact is None:
        return {}
    splits = artifact_utils.decode_split_names(artifact.split_names)
    return {split: artifact_utils.get_split_uri([artifact], split) for split in splits}


def _pushed_properties(artifact: types.Artifact) -> dict[str, Any]:
    strings = {key: artifact.get_string_custom_property(key) for key in _PUSHED_STRINGS}
    return {"pushed": artifact.get_int_custom_property("pushed"), **strings}


def _write_page(path: Path, page: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, page)


class RunReportSpec(ComponentSpec):
    """Interface of RunReport."""

    PARAMETERS = {  # noqa: RUF012 - TFX's own form
        "pipeline_config": ExecutionParameter(type=str),
        "max_ranked_images": ExecutionParameter(type=int),
        "code_fingerprint": ExecutionParameter(type=str),
    }
    INPUTS = {  # noqa: RUF012
        "evaluation": ChannelParameter(type=standard_artifacts.ModelEvaluation, optional=True),
        "blessing": ChannelParameter(type=standard_artifacts.ModelBlessing, optional=True),
        "infra_blessing": ChannelParameter(type=standard_artifacts.InfraBlessing, optional=True),
        "model": ChannelParameter(type=standard_artifacts.Model, optional=True),
        "model_run": ChannelParameter(type=standard_artifacts.ModelRun, optional=True),
        "statistics": ChannelParameter(type=standard_artifacts.ExampleStatistics, optional=True),
        "anomalies": ChannelParameter(type=standard_artifacts.ExampleAnomalies, optional=True),
        "data_gate_report": ChannelParameter(type=DataGateReport, optional=True),
        "examples": ChannelParameter(type=standard_artifacts.Examples, optional=True),
        "snapshot": ChannelParameter(type=DatasetSnapshotArtifact, optional=True),
        "pushed_model": ChannelParameter(type=standard_artifacts.PushedModel, optional=True),
        "tuner_results": ChannelParameter(type=standard_artifacts.TunerResults, optional=True),
    }
    OUTPUTS = {"report": ChannelParameter(type=RunReportPage)}  # noqa: RUF012


class RunReport(base_component.BaseComponent):
    """Explains a run on one HTML page that needs no network.

    Output ``report``: a folder with ``index.html``.
    """

    SPEC_CLASS = RunReportSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        pipeline_config: str,
        evaluation: types.BaseChannel | None = None,
        blessing: types.BaseChannel | None = None,
        infra_blessing: types.BaseChannel | None = None,
        model: types.BaseChannel | None = None,
        model_run: types.BaseChannel | None = None,
        statistics: types.BaseChannel | None = None,
        anomalies: types.BaseChannel | None = None,
        data_gate_report: types.BaseChannel | None = None,
        examples: types.BaseChannel | None = None,
        snapshot: types.BaseChannel | None = None,
        pushed_model: types.BaseChannel | None = None,
        tuner_results: types.BaseChannel | None = None,
        max_ranked_images: int = MAX_RANKED,
        code_fingerprint: str = "",
    ) -> None:
        """Makes the component. What is not given is said to be missing on the page.

        Args:
            pipeline_config: the whole configuration as JSON.
            evaluation: the Evaluator's, with metrics.json.
            blessing: the Evaluator's, with verdict.json.
            infra_blessing: the smoke test's, with smoke_test.json.
            model: the exported model.
            model_run: the Trainer's, with history.jsonl and training.json.
            statistics: of StatisticsGen.
            anomalies: of ExampleValidator.
            data_gate_report: of DataGate. It is new in every run, and so is a report made from it.
            examples: raw examples.
            snapshot: of DatasetSnapshot; a page made later names its images.
            pushed_model: of the Pusher.
            tuner_results: of the Tuner, with trials.json; the last step of a cluster's run records them.
            max_ranked_images: at most so many images are scored to find the worst.
            code_fingerprint: of our Python source, for the cache; the templates' is added to it.
        """
        super().__init__(
            spec=RunReportSpec(
                pipeline_config=pipeline_config,
                max_ranked_images=max_ranked_images,
                code_fingerprint=f"{code_fingerprint}/{fingerprint_templates()}",
                evaluation=evaluation,
                blessing=blessing,
                infra_blessing=infra_blessing,
                model=model,
                model_run=model_run,
                statistics=statistics,
                anomalies=anomalies,
                data_gate_report=data_gate_report,
                examples=examples,
                snapshot=snapshot,
                pushed_model=pushed_model,
                tuner_results=tuner_results,
                report=types.Channel(type=RunReportPage),
            )
        )
