"""Finding every problem of a data set, and what is in it, without training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial

from data.assign_splits import SPLIT_NAMES
from data.check_report import CheckReport, SplitFacts
from data.config import DataConfig
from data.decode_mask import MaskCodec, build_mask_codec
from data.errors import Problem
from data.examine_pair import BadPair, PairFacts, examine_pair
from data.find_near_duplicates import (
    WARN,
    HashedImage,
    NearDuplicateRule,
    NearDuplicates,
    find_near_duplicates,
)
from data.find_warnings import find_warnings
from data.fingerprint_dataset import find_leaks, fingerprint
from data.list_pairs import list_pairs
from data.map_processes import map_processes
from data.measure_split_distances import measure_split_distances
from data.open_files import is_remote
from data.pairs import Listing, Pair
from data.quarantine import BadExample, judge_examples
from data.read_attributes import read_attributes

_REMOTE_THREADS = 8
"""In each process, while most of them wait for an object store."""


def check_dataset(
    config: DataConfig,
    *,
    required_splits: Collection[str] = (),
    limit: int | None = None,
    workers: int | None = None,
    near_duplicates: NearDuplicateRule = WARN,
) -> CheckReport:
    """Opens every image and mask, in several processes, and gathers all that is wrong.

    Args:
        config: the data set.
        required_splits: splits that must have pairs (those that are evaluated).
        limit: open at most so many pairs, evenly spread; all if None.
        workers: processes; as many as there are processors if None.
        near_duplicates: what is done about images that look like one in another split.

    Raises:
        RefusedError: if the root is no folder. All else is in the report's problems.
    """
    listing = list_pairs(config)
    attributes = read_attributes(config, listing)
    pairs = _spread(listing.pairs, limit)
    examine = partial(_examine, codec=build_mask_codec(config))
    threads = _REMOTE_THREADS if is_remote(config.root) else 1
    results = map_processes(examine, pairs, "check images and masks", workers, threads)
    facts = [result for result in results if isinstance(result, PairFacts)]
    bad = [
        BadExample(result.pair.image_id, result.pair.split, result.problems)
        for result in results
        if isinstance(result, BadPair)
    ]
    sound = Counter[str](fact.pair.split for fact in facts)
    problems, quarantine = judge_examples(config, {*listing.problems, *attributes.problems}, bad, sound)
    problems.update(find_absent_splits(listing, required_splits))
    problems.update(find_leaks((fact.pair.image_path, fact.pair.split, fact.image_sha256) for fact in facts))
    near = _look_for_near_duplicates(facts, near_duplicates)
    problems.update(near.problems() if near is not None and near_duplicates.action == "fail" else ())
    report = replace(_report(config, listing, facts, problems), near_duplicates=near)
    report = replace(report, examined=len(pairs), attributes=attributes.columns, quarantine=quarantine)
    if quarantine is not None and quarantine.bad:
        report = replace(report, fingerprint=None)
    warnings = find_warnings(report, config)
    if near is None:
        return replace(report, warnings=warnings)
    # Those that are refused are among the problems.
    sentences = (what for _, what in near.summarise()) if near_duplicates.action == "warn" else ()
    return replace(report, warnings=(*warnings, *sentences), notes=(*report.notes, *near.notes()))


def _look_for_near_duplicates(facts: Sequence[PairFacts], rule: NearDuplicateRule) -> NearDuplicates | None:
    if rule.action == "ignore":
        return None
    images = (
        HashedImage(fact.pair.image_path, fact.pair.split, fact.image_sha256, fact.perceptual_hash)
        for fact in facts
    )
    return find_near_duplicates(images, rule.max_distance)


def _report(
    config: DataConfig, listing: Listing, facts: Sequence[PairFacts], problems: Collection[Problem]
) -> CheckReport:
    names = tuple(entry.name for entry in config.classes)
    entries = ((fact.pair.image_id, fact.pair.split, fact.image_sha256, fact.mask_sha256) for fact in facts)
    is_complete = not problems and len(facts) == len(listing.pairs)
    return CheckReport(
        root=config.root,
        layout=config.layout,
        class_names=names,
        own_splits=listing.own_splits,
        splits=_sum_splits(listing, facts, len(names)),
        sizes=tuple(Counter((fact.width_px, fact.height_px) for fact in facts).most_common()),
        kinds=dict(Counter(_kind(fact) for fact in facts).most_common()),
        examined=len(facts),
        largest_void_share=max((fact.void_share for fact in facts), default=0.0),
        split_distances=measure_split_distances(facts, names),
        attributes=(),
        problems=tuple(sorted(problems)),
        warnings=(),
        notes=listing.notes,
        fingerprint=fingerprint(entries) if is_complete else None,
    )


def _examine(pair: Pair, codec: MaskCodec) -> PairFacts | BadPair:
    return examine_pair(pair, codec, keep_bytes=False)


def _spread(pairs: Sequence[Pair], limit: int | None) -> Sequence[Pair]:
    if limit is None or len(pairs) <= limit:
        return pairs
    return [pairs[index * len(pairs) // limit] for index in range(limit)]


def find_absent_splits(listing: Listing, required: Collection[str]) -> list[Problem]:
    """Returns a problem for each split that is needed and has no pair; none where there is no pair at all."""
    present = {pair.split for pair in listing.pairs}
    if not present:
        return []
    return [
        Problem(
            "evaluation.splits",
            f"the data set has no split {split}, only {', '.join(sorted(present))}",
            f"Add images to {split}, or take it out of evaluation.splits and evaluation.gate_split",
            "empty_split",
        )
        for split in required
        # That train is there has been asked of the listing already.
        if split not in present and split != "train"
    ]


def _sum_splits(listing: Listing, facts: Sequence[PairFacts], num_classes: int) -> dict[str, SplitFacts]:
    listed = Counter(pair.split for pair in listing.pairs)
    splits: dict[str, SplitFacts] = {}
    for name in SPLIT_NAMES:
        if not listed[name]:
            continue
        inside = [fact for fact in facts if fact.pair.split == name]
        by_class = [[fact.class_pixels[index] for fact in inside] for index in range(num_classes)]
        splits[name] = SplitFacts(
            pairs=listed[name],
            class_pixels=tuple(sum(pixels) for pixels in by_class),
            class_images=tuple(sum(count > 0 for count in pixels) for pixels in by_class),
            void_pixels=sum(fact.height_px * fact.width_px - sum(fact.class_pixels) for fact in inside),
        )
    return splits


def _kind(fact: PairFacts) -> str:
    plural = "" if fact.channels == 1 else "s"
    return f"{fact.image_format}, {fact.channels} channel{plural}, {fact.bit_depth} bit"
