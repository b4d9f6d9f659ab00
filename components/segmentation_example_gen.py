"""Component that turns a data set into tf.Examples: reads every pair, refuses what is wrong, writes.

Its only inputs are execution properties, the data set's fingerprint among them: what it makes follows
from them alone, and so does its place in the cache.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import tensorflow as tf
from absl import logging
from tfx import types
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_component, base_beam_executor, executor_spec
from tfx.dsl.placeholder import placeholder
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.dataset_snapshot import data_changed
from data.assign_splits import SPLIT_NAMES
from data.collect_records import CollectRecords, read_records
from data.config import DataConfig
from data.encode_examples import EncodeExamples, temporary_folder
from data.errors import RefusedError
from data.find_near_duplicates import HashedImage
from data.fingerprint_dataset import find_leaks
from data.free_space import refuse_small_disk
from data.keep_hashes import keep_hashes
from data.list_dataset import list_dataset, measure_pairs
from data.pairs import Listing
from data.plan_shards import plan_shards
from data.quarantine import QUARANTINE_FILE, QUARANTINED_PROPERTY, BadExample, Quarantine, judge_examples
from data.read_pairs import (
    METRICS_NAMESPACE,
    PairDigest,
    ReadPlan,
    RefusedPair,
    showing_progress,
    write_plan,
)
from data.take_snapshot import fingerprint_snapshot

FINGERPRINT_PROPERTY = "fingerprint"


def count_property(split: str) -> str:
    """Returns the custom property of the artifact that holds a split's number of examples."""
    return f"examples_{split}"


class SegmentationExampleGenSpec(ComponentSpec):
    """Interface of SegmentationExampleGen."""

    PARAMETERS = {  # noqa: RUF012 - TFX's own form
        "data_config": ExecutionParameter(type=str),
        "fingerprint": ExecutionParameter(type=str),
        "code_fingerprint": ExecutionParameter(type=str),
    }
    INPUTS: dict[str, ChannelParameter] = {}  # noqa: RUF012
    OUTPUTS = {"examples": ChannelParameter(type=standard_artifacts.Examples)}  # noqa: RUF012


class SegmentationExampleGenExecutor(base_beam_executor.BaseBeamExecutor):
    """Reads, checks and encodes the data set on Beam."""

    def Do(  # noqa: N802 - TFX's name
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the examples of every split.

        Raises:
            RefusedError: with every problem of the layout, of the attributes and of the files, apart from
                what may be left out.
        """
        config = DataConfig.model_validate_json(exec_properties["data_config"])
        listing = list_dataset(config)
        if not listing.pairs:
            raise RefusedError(listing.problems)
        examples = artifact_utils.get_single_instance(output_dict["examples"])
        refuse_small_disk(examples.uri, measure_pairs(listing.pairs), "the records")
        digests, refused = self._encode_pairs(config, listing, examples.uri)
        sound = Counter(digest.split for digest in digests)
        problems, quarantine = judge_examples(config, listing.problems, _name_examples(refused), sound)
        images = list(_hashed_images(listing, digests))
        problems.update(find_leaks((image.path, image.split, image.sha256) for image in images))
        if problems:
            _discard(examples.uri)
            raise RefusedError(sorted(problems))
        # Bad pairs count, too: one that is mended makes another data set.
        read = [*digests, *(pair.digest for pair in refused)]
        if fingerprint_snapshot(listing, read) != exec_properties["fingerprint"]:
            _discard(examples.uri)
            raise data_changed(config.root, listing)
        keep_hashes(images, examples.uri)
        _describe(examples, sound, exec_properties["fingerprint"])
        if quarantine is not None:
            _write_quarantine(examples, quarantine)

    def _encode_pairs(
        self, config: DataConfig, listing: Listing, uri: str
    ) -> tuple[list[PairDigest], list[RefusedPair]]:
        scratch = temporary_folder(uri)
        plan = write_plan(plan_shards(listing.pairs), f"{scratch}/plan")
        with showing_progress("read and encode pairs", len(listing.pairs)):
            pipeline = self._make_beam_pipeline()
            _ = pipeline | ReadPlan(plan) | EncodeExamples(config, uri) | CollectRecords(scratch)
            result = pipeline.run()
            result.wait_until_finish()
        _log_counters(result)
        records = list(read_records(scratch))
        tf.io.gfile.rmtree(scratch)
        digests = [record for record in records if isinstance(record, PairDigest)]
        return digests, [record for record in records if isinstance(record, RefusedPair)]


def _name_examples(refused: Iterable[RefusedPair]) -> list[BadExample]:
    return [BadExample(pair.digest.image_id, pair.digest.split, pair.problems) for pair in refused]


def _hashed_images(listing: Listing, digests: Iterable[PairDigest]) -> Iterator[HashedImage]:
    """Yields what tells every image from others; problems name files by their paths."""
    paths = {pair.image_id: pair.image_path for pair in listing.pairs}
    for digest in digests:
        path = paths[digest.image_id]
        yield HashedImage(path, digest.split, digest.image_sha256, digest.perceptual_hash)


def _discard(uri: str) -> None:
    """Leaves nothing that looks like examples; the folder itself is TFX's to remove."""
    for name in tf.io.gfile.listdir(uri):
        tf.io.gfile.rmtree(f"{uri}/{name}")


def _describe(examples: types.Artifact, counts: Mapping[str, int], fingerprint: str) -> None:
    """Sets the artifact's properties; only splits that have examples are named."""
    splits = [split for split in SPLIT_NAMES if counts.get(split)]
    examples.split_names = artifact_utils.encode_split_names(splits)
    examples_utils.set_payload_format(examples, example_gen_pb2.PayloadFormat.FORMAT_TF_EXAMPLE)
    examples.set_string_custom_property(FINGERPRINT_PROPERTY, fingerprint)
    for split in splits:
        examples.set_int_custom_property(count_property(split), counts[split])


def _write_quarantine(examples: types.Artifact, quarantine: Quarantine) -> None:
    """Writes what is left out beside the examples, an empty list too."""
    path = f"{examples.uri}/{QUARANTINE_FILE}"
    with tf.io.gfile.GFile(path + ".unfinished", "w") as stream:
        stream.write(json.dumps(quarantine.to_json(), indent=2) + "\n")
    tf.io.gfile.rename(path + ".unfinished", path)
    examples.set_int_custom_property(QUARANTINED_PROPERTY, quarantine.bad)
    if quarantine.bad:
        logging.warning("%d examples are left out; %s names them", quarantine.bad, path)


def _log_counters(result: Any) -> None:
    for counter in result.metrics().query()["counters"]:
        if counter.key.metric.namespace == METRICS_NAMESPACE:
            logging.info("ingest counted %s: %d", counter.key.metric.name, counter.result)


class SegmentationExampleGen(base_beam_component.BaseBeamComponent):
    """Ingests a data set; output ``examples`` with the splits train, val and test, as far as they exist.

    The files are TFRecords without compression (images and masks are compressed already); TFX's
    readers go by the names' endings.
    """

    SPEC_CLASS = SegmentationExampleGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(SegmentationExampleGenExecutor)

    def __init__(
        self, data_config: str, fingerprint: str | placeholder.Placeholder, code_fingerprint: str
    ) -> None:
        """Constructs the component.

        Args:
            data_config: a DataConfig as JSON.
            fingerprint: ``snapshot.outputs['fingerprint'].future()[0].value``.
            code_fingerprint: of the code that makes examples; another one is another execution.
        """
        spec = SegmentationExampleGenSpec(
            data_config=data_config,
            fingerprint=fingerprint,
            code_fingerprint=code_fingerprint,
            examples=types.Channel(type=standard_artifacts.Examples),
        )
        super().__init__(spec=spec)
