"""What a data set is at one moment: its files, their digests, and one fingerprint of all that counts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence

from data.config import DataConfig
from data.fingerprint_dataset import fingerprint
from data.list_dataset import list_dataset
from data.pairs import Listing, Pair
from data.read_pairs import PairDigest, count_read_threads, digest_pair, map_ahead


def fingerprint_snapshot(listing: Listing, digests: Iterable[PairDigest]) -> str:
    """Returns the fingerprint of all that ingest makes of a data set, in hex.

    Attributes and what is wrong with the layout are part of it: a data set that got an image without a
    mask has the same pairs as before, and must not be taken for the sound one.

    Args:
        listing: from ``list_dataset``.
        digests: of every pair, in any order.
    """
    pairs = fingerprint((d.image_id, d.split, d.image_sha256, d.mask_sha256) for d in digests)
    attributes = [(pair.image_id, pair.attributes) for pair in listing.pairs if pair.attributes]
    problems = [problem.sentence() for problem in listing.problems]
    if not attributes and not problems:
        return pairs
    return hashlib.sha256(json.dumps([pairs, sorted(attributes), sorted(problems)]).encode()).hexdigest()


def read_digests(pairs: Sequence[Pair]) -> Iterator[PairDigest]:
    """Yields the digest of each pair, read in this process."""
    return map_ahead(digest_pair, pairs, count_read_threads(pairs))


def fingerprint_dataset(config: DataConfig) -> str:
    """Lists a data set, reads all its files in this process and returns its fingerprint.

    Raises:
        RefusedError: if the root is no folder.
    """
    listing = list_dataset(config)
    return fingerprint_snapshot(listing, read_digests(listing.pairs))


def snapshot_lines(pairs: Sequence[Pair], digests: Iterable[PairDigest]) -> Iterator[str]:
    """Yields a JSON line a pair: id, split, digests and paths, sorted by id."""
    by_id = {pair.image_id: pair for pair in pairs}
    for digest in sorted(digests):
        pair = by_id[digest.image_id]
        row = {
            "id": digest.image_id,
            "split": digest.split,
            "image_sha256": digest.image_sha256,
            "mask_sha256": digest.mask_sha256,
            "image_path": pair.image_path,
            "mask_path": pair.mask_path,
        }
        yield json.dumps(row) + "\n"
