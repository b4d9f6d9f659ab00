"""Component that says what a data set is now: every file's digest, and one fingerprint.

It is the root of the truth in the cache. On this machine its driver takes the fingerprint first, so
an unchanged data set is a cache hit with the very same artifacts. On Kubeflow, where no driver runs,
it always executes and hands the fingerprint on as a parameter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
from tfx import types
from tfx.dsl.components.base import base_beam_component, base_beam_executor, executor_spec
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.artifact_types import DatasetSnapshotArtifact
from components.content_driver import ContentDriver
from data.collect_records import CollectRecords, read_records
from data.config import DataConfig
from data.errors import Problem, RefusedError
from data.list_dataset import list_dataset
from data.open_files import find_newest
from data.pairs import Listing
from data.plan_shards import plan_shards
from data.read_pairs import (
    HashPairs,
    PairDigest,
    ReadPlan,
    showing_progress,
    write_plan,
)
from data.take_snapshot import fingerprint_snapshot, read_digests, snapshot_lines

_FOUND = "found_fingerprint"
_STAGE = "hash the data set"


def data_changed(root: str, listing: Listing) -> RefusedError:
    """Returns the refusal of a data set whose files changed between two readings of one run.

    It names the local file or folder that changed last.
    """
    what = "the data set changed while it was read"
    newest = find_newest(path for pair in listing.pairs for path in (pair.image_path, pair.mask_path))
    if newest is not None:
        what += f"; what changed last is {newest}"
    return RefusedError([Problem(root, what, "Let what writes there finish, and run again", "data_changed")])


class DatasetSnapshotSpec(ComponentSpec):
    """Interface of DatasetSnapshot."""

    PARAMETERS = {"data_config": ExecutionParameter(type=str)}  # noqa: RUF012 - TFX's own form
    INPUTS: dict[str, ChannelParameter] = {}  # noqa: RUF012
    OUTPUTS = {  # noqa: RUF012
        "snapshot": ChannelParameter(type=DatasetSnapshotArtifact),
        "fingerprint": ChannelParameter(type=standard_artifacts.String),
    }


class DatasetSnapshotDriver(ContentDriver):
    """Takes the data set's fingerprint for the cache."""

    def find(
        self, inputs: Mapping[str, Sequence[types.Artifact]], exec_properties: Mapping[str, Any]
    ) -> dict[str, str]:
        """Returns the fingerprint; empty where none can be taken, which the executor explains."""
        try:
            listing = list_dataset(DataConfig.model_validate_json(exec_properties["data_config"]))
        except (RefusedError, OSError):
            return {_FOUND: ""}
        with showing_progress(_STAGE, len(listing.pairs)):
            return {_FOUND: fingerprint_snapshot(listing, read_digests(listing.pairs))}


class DatasetSnapshotExecutor(base_beam_executor.BaseBeamExecutor):
    """Lists and hashes the data set on Beam."""

    def Do(  # noqa: N802 - TFX's name
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the snapshot and the fingerprint.

        Raises:
            RefusedError: if there is no pair at all, or the data changes meanwhile. What else is wrong
                is left to ingest, which names it together with what is inside the files.
        """
        config = DataConfig.model_validate_json(exec_properties["data_config"])
        listing = list_dataset(config)
        if not listing.pairs:
            raise RefusedError(listing.problems)
        snapshot = artifact_utils.get_single_instance(output_dict["snapshot"])
        digests = self._hash_pairs(listing, f"{snapshot.uri}/.unfinished")
        fingerprint = fingerprint_snapshot(listing, digests)
        if exec_properties.get(_FOUND) and exec_properties[_FOUND] != fingerprint:
            raise data_changed(config.root, listing)
        path = f"{snapshot.uri}/{DatasetSnapshotArtifact.FILE_NAME}"
        with tf.io.gfile.GFile(path + ".unfinished", "w") as stream:
            for line in snapshot_lines(listing.pairs, digests):
                stream.write(line)
        tf.io.gfile.rename(path + ".unfinished", path)
        snapshot.fingerprint = fingerprint
        snapshot.pairs = len(digests)
        artifact_utils.get_single_instance(output_dict["fingerprint"]).value = fingerprint

    def _hash_pairs(self, listing: Listing, scratch: str) -> list[PairDigest]:
        plan = write_plan(plan_shards(listing.pairs), scratch)
        with (
            showing_progress(_STAGE, len(listing.pairs)),
            self._make_beam_pipeline() as pipeline,
        ):
            digests = pipeline | ReadPlan(plan) | HashPairs()
            _ = (digests,) | CollectRecords(scratch)
        found = [record for record in read_records(scratch) if isinstance(record, PairDigest)]
        tf.io.gfile.rmtree(scratch)
        return found


class DatasetSnapshot(base_beam_component.BaseBeamComponent):
    """Lists and hashes a data set.

    Outputs: ``snapshot`` (snapshot.jsonl) and ``fingerprint`` (a String value artifact, hex).
    """

    SPEC_CLASS = DatasetSnapshotSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(DatasetSnapshotExecutor)
    DRIVER_CLASS = DatasetSnapshotDriver

    def __init__(self, data_config: str) -> None:
        """Constructs the component.

        Args:
            data_config: a DataConfig as JSON.
        """
        spec = DatasetSnapshotSpec(
            data_config=data_config,
            snapshot=types.Channel(type=DatasetSnapshotArtifact),
            fingerprint=types.Channel(type=standard_artifacts.String),
        )
        super().__init__(spec=spec)
