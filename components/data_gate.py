"""Component that stops a run whose data is not fit to train on, and names the images.

ExampleValidator only reports. The gate reads its anomalies, adds the limits of the configuration, the
distances between the splits, the drift against the data of the served model and the images that look like
one in another split, and refuses.

It reads the served version, which lies outside its inputs, so it must never be taken from the cache;
Transform waits for it as a control dependency only, so that its always new artifact spoils no cache.
TFX publishes no artifact of a component that raises: what stopped the run is also written to
``report_dir``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from absl import logging
from google.protobuf.message import DecodeError
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2
from tfx import types
from tfx.components.example_validator import executor as example_validator
from tfx.components.statistics_gen import stats_artifact_utils
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.utils import io_utils

from components.artifact_types import DataGateReport
from components.config import DataGateConfig
from components.explain_findings import (
    add_near_duplicates,
    describe_judgement,
    explain_findings,
    keep_report,
)
from components.manifest import STATISTICS_FILE
from components.version_store import list_versions, read_file, version_path
from components.write_json import write_json
from data.build_schema import add_gate_limits
from data.errors import RefusedError
from data.find_examples import FoundImages, Score, find_images, outside_domain, unlike
from data.find_near_duplicates import NearDuplicateRule, NearDuplicates, find_near_duplicates
from data.judge_statistics import (
    Finding,
    Judgement,
    Statistics,
    explain_anomalies,
    find_feature,
    judge_statistics,
)
from data.keep_hashes import read_hashes

_MAX_STATISTICS_BYTES = 1 << 30


class DataGateSpec(ComponentSpec):
    """Interface of DataGate."""

    PARAMETERS = {  # noqa: RUF012 - TFX's own form
        "gate_config": ExecutionParameter(type=str),
        "serving_root": ExecutionParameter(type=str),
        "report_dir": ExecutionParameter(type=str),
    }
    INPUTS = {  # noqa: RUF012
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "statistics": ChannelParameter(type=standard_artifacts.ExampleStatistics),
        "schema": ChannelParameter(type=standard_artifacts.Schema),
        "anomalies": ChannelParameter(type=standard_artifacts.ExampleAnomalies),
    }
    OUTPUTS = {"report": ChannelParameter(type=DataGateReport)}  # noqa: RUF012


class DataGateExecutor(base_executor.BaseExecutor):
    """Judges the data."""

    def Do(  # noqa: N802 - TFX's name
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the report, and refuses data that is not fit to train on.

        Raises:
            RefusedError: with a problem a feature and split, naming images.
        """
        config = DataGateConfig.model_validate_json(exec_properties["gate_config"])
        inputs = {key: artifact_utils.get_single_instance(input_dict[key]) for key in DataGateSpec.INPUTS}
        schema = add_gate_limits(
            _read_schema(inputs["schema"]), config.max_void_share, config.max_split_skew, config.max_drift
        )
        statistics = _read_statistics(inputs["statistics"])
        version, served = _read_served(exec_properties["serving_root"])
        judgement = judge_statistics(statistics, schema, _read_anomalies(inputs["anomalies"]), served)
        images = _find_images(inputs["examples"], judgement, schema, statistics, served)
        near = _find_near_duplicates(inputs["examples"], config.near_duplicate_rule())
        judgement = add_near_duplicates(judgement, near, config.near_duplicate_rule())
        document = describe_judgement(config, statistics, version, judgement, images, near)
        for note in judgement.notes:
            logging.warning("data gate: %s", note)
        report = artifact_utils.get_single_instance(output_dict["report"])
        report.passed = int(not judgement.findings)
        write_json(Path(report.uri) / DataGateReport.FILE_NAME, document)
        if judgement.findings:
            where = keep_report(document, exec_properties["report_dir"])
            refused = near if config.near_duplicates == "fail" else None
            raise RefusedError(explain_findings(judgement, images, where, refused))


class DataGate(base_component.BaseComponent):
    """Refuses data with anomalies, over the limits, or too far from what is served."""

    SPEC_CLASS = DataGateSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(DataGateExecutor)

    def __init__(
        self,
        examples: types.BaseChannel,
        statistics: types.BaseChannel,
        schema: types.BaseChannel,
        anomalies: types.BaseChannel,
        gate_config: str,
        serving_root: str,
        report_dir: str,
    ) -> None:
        """Constructs the component.

        Args:
            examples: of SegmentationExampleGen.
            statistics: of StatisticsGen over the examples.
            schema: of ImportSchemaGen.
            anomalies: of ExampleValidator.
            gate_config: a DataGateConfig as JSON.
            serving_root: folder of the pushed versions, whose newest holds the statistics to compare with.
            report_dir: where reports of stopped runs are kept; empty for nowhere.
        """
        spec = DataGateSpec(
            examples=examples,
            statistics=statistics,
            schema=schema,
            anomalies=anomalies,
            gate_config=gate_config,
            serving_root=serving_root,
            report_dir=report_dir,
            report=types.Channel(type=DataGateReport),
        )
        super().__init__(spec=spec)


def _read_schema(artifact: types.Artifact) -> schema_pb2.Schema:
    return io_utils.SchemaReader().read(io_utils.get_only_uri_in_dir(artifact.uri))


def _read_statistics(artifact: types.Artifact) -> dict[str, Statistics]:
    splits = artifact_utils.decode_split_names(artifact.split_names)
    return {split: stats_artifact_utils.load_statistics(artifact, split).proto() for split in splits}


def _read_anomalies(artifact: types.Artifact) -> Iterator[Finding]:
    for split in artifact_utils.decode_split_names(artifact.split_names):
        folder = artifact_utils.get_split_uri([artifact], split)
        content = io_utils.read_bytes_file(f"{folder}/{example_validator.DEFAULT_FILE_NAME}")
        yield from explain_anomalies(split, anomalies_pb2.Anomalies.FromString(content))


def _read_served(serving_root: str) -> tuple[int | None, Statistics | None]:
    """Returns the newest version's number and its training data's statistics, if it has them."""
    versions = list_versions(serving_root)
    if not versions:
        return None, None
    try:
        content = read_file(version_path(serving_root, versions[-1]), STATISTICS_FILE, _MAX_STATISTICS_BYTES)
        return versions[-1], Statistics.FromString(content)
    except (OSError, ValueError, DecodeError) as error:
        logging.warning("data gate: version %d has no statistics to compare with (%s)", versions[-1], error)
        return versions[-1], None


def _find_near_duplicates(examples: types.Artifact, rule: NearDuplicateRule) -> NearDuplicates | None:
    """Compares the images that ingest took; None if nobody wants that, or there are no hashes."""
    images = read_hashes(examples.uri) if rule.action != "ignore" else None
    return None if images is None else find_near_duplicates(images, rule.max_distance)


def _find_images(
    examples: types.Artifact,
    judgement: Judgement,
    schema: schema_pb2.Schema,
    statistics: Mapping[str, Statistics],
    served: Statistics | None,
) -> dict[Finding, FoundImages]:
    """Reads each split that has findings once and returns the images behind each finding."""
    domains = {feature.name: outside_domain(feature) for feature in schema.feature}
    found: dict[Finding, FoundImages] = {}
    for split in sorted({finding.split for finding in judgement.findings}):
        scores: dict[Finding, tuple[str, Score]] = {}
        for finding in judgement.findings:
            reference = {"split skew": statistics.get("train"), "drift": served}.get(finding.check)
            theirs = find_feature(reference, finding.feature) if reference else None
            own = find_feature(statistics[split], finding.feature)
            if finding.split == split and theirs and own:
                scores[finding] = finding.feature, unlike(theirs, own)
            elif finding.split == split and finding.feature in domains:
                scores[finding] = finding.feature, domains[finding.feature]
        pattern = examples_utils.get_split_file_patterns([examples], split)[0]
        found |= find_images(sorted(tf.io.gfile.glob(pattern)), scores)
    return found
