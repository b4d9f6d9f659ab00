"""A data set's identity: its content, not its place, its order or its files' times."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable

from data.errors import Problem
from data.open_files import read_bytes
from data.open_image import MAX_FILE_BYTES
from data.pairs import Pair


def hash_bytes(content: bytes) -> str:
    """Returns the SHA-256 of a file's content, in hex."""
    return hashlib.sha256(content).hexdigest()


def hash_pair(pair: Pair) -> tuple[str, str]:
    """Returns the SHA-256 of the image file and of the mask file.

    Raises:
        OSError: if one of them cannot be read, or is too large to be an image.
    """
    image, mask = (hash_bytes(read_bytes(path, MAX_FILE_BYTES)) for path in (pair.image_path, pair.mask_path))
    return image, mask


def fingerprint(entries: Iterable[tuple[str, str, str, str]]) -> str:
    """Returns the fingerprint of a data set, in hex.

    Args:
        entries: (image id, split, SHA-256 of the image, SHA-256 of the mask), in any order.
    """
    digest = hashlib.sha256()
    for entry in sorted(entries):
        digest.update(json.dumps(entry).encode())
        digest.update(b"\n")
    return digest.hexdigest()


def find_leaks(entries: Iterable[tuple[str, str, str]]) -> list[Problem]:
    """Returns a problem for every image that stands, byte for byte, in another split too.

    Args:
        entries: (image id or path, split, SHA-256 of the image), in any order.
    """
    by_content: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for image, split, sha256 in entries:
        by_content[sha256].append((split, image))
    problems = []
    for same in by_content.values():
        if len({split for split, _ in same}) < 2:
            continue
        first_split, first = next(((s, i) for s, i in sorted(same) if s == "train"), min(same))
        for split, image in sorted(same):
            if split != first_split:
                what = f"is in the split {split} and, byte for byte, as {first} in {first_split}"
                remedy = "Keep it in one split only: a model must not be judged on images it was trained on"
                problems.append(Problem(image, what, remedy, "leak"))
    return sorted(problems)
