"""Examines pairs as check and ingest do, in a process of its own that may take no more than so much memory.

Reads a JSON document from standard input and prints one: what became of each pair, of the whole data set
and of damaged files, and the most memory that was ever in use.
"""

from __future__ import annotations

import io
import json
import resource
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from data.check_dataset import check_dataset
from data.config import DataConfig
from data.decode_mask import MaskCodec, build_mask_codec
from data.examine_pair import BadPair, examine_pair
from data.fingerprint_dataset import hash_pair
from data.open_image import IMAGE_FORMATS, MASK_FORMATS, UnreadableImageError, open_image
from data.pairs import Pair


def examine(pair: Pair, codec: MaskCodec) -> dict[str, Any]:
    found = examine_pair(pair, codec)
    if isinstance(found, BadPair):
        return {"problems": [[one.where, one.code, one.remedy] for one in found.problems]}
    digests = (found.image_sha256, found.mask_sha256)
    size = [found.height_px, found.width_px]
    facts = {"size": size, "mean": found.image_mean, "hashed_alike": digests == hash_pair(pair)}
    if size[0] * size[1] < 10_000:
        facts["ids"] = np.asarray(Image.open(io.BytesIO(found.mask_png))).tolist()
    return facts


def open_damaged(content: bytes, times: int) -> int:
    """Opens a file with this many different damages; returns how many were refused."""
    random = np.random.default_rng(len(content))
    refused = 0
    for _ in range(times):
        damaged = bytearray(content)
        for position in random.integers(0, len(damaged), random.integers(1, 4)):
            damaged[position] = random.integers(0, 256)
        del damaged[random.integers(1, len(damaged) + 1) :]
        try:
            open_image(bytes(damaged), IMAGE_FORMATS + MASK_FORMATS)
        except UnreadableImageError:
            refused += 1
    return refused


def main() -> None:
    task = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_AS, (task["max_bytes"], task["max_bytes"]))
    config = DataConfig.model_validate_json(json.dumps(task["config"]))
    codec = build_mask_codec(config)
    pairs = [Pair(*fields) for fields in task["pairs"]]
    with ThreadPoolExecutor(task["threads"]) as pool:
        outcomes = list(pool.map(lambda pair: examine(pair, codec), pairs))
    answer = {
        "pairs": {pair.image_id: outcome for pair, outcome in zip(pairs, outcomes, strict=True)},
        "report": check_dataset(config, workers=1).to_json() if task["check"] else None,
        "refused": {
            name: open_damaged(bytes.fromhex(content), 150) for name, content in task["fuzzed"].items()
        },
        "peak_bytes": read_peak_bytes(),
    }
    print(json.dumps(answer))


def read_peak_bytes() -> int:
    """Returns the most memory that was resident; getrusage counts the parent's before exec, too."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) * 1024


if __name__ == "__main__":
    main()
