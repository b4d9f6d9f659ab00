"""What moves the fingerprint of a data set, and what does not."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from data.errors import RefusedError
from data.list_dataset import list_dataset
from data.take_snapshot import fingerprint_dataset, snapshot_lines

pytestmark = pytest.mark.slow  # Imports Beam and TensorFlow.


@pytest.fixture
def config(write_pairs, tmp_path):
    config = write_pairs(tmp_path / "data", {"train": 3, "val": 2})
    rows = ["image_id,weather"] + [f"{pair.image_id},dry" for pair in list_dataset(config).pairs]
    Path(config.root, "attributes.csv").write_text("\n".join(rows))
    return config.model_copy(update={"attributes": "attributes.csv"})


def test_neither_place_nor_time_moves_it(config, tmp_path):
    before = fingerprint_dataset(config)
    shutil.copytree(config.root, tmp_path / "elsewhere")
    for path in (tmp_path / "elsewhere").rglob("*.png"):
        os.utime(path, (1, 1))
    moved = config.model_copy(update={"root": str(tmp_path / "elsewhere")})
    assert fingerprint_dataset(moved) == before


def flip_last_byte(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


CHANGES = {
    "image": lambda root: flip_last_byte(root / "images/train/train-000.png"),
    "mask": lambda root: flip_last_byte(root / "masks/val/val-001.png"),
    "pair gone": lambda root: [path.unlink() for path in root.rglob("train-002.png")],
    "other split": lambda root: [
        (root / kind / "train/train-002.png").rename(root / kind / "val/train-002.png")
        for kind in ("images", "masks")
    ],
    "attribute": lambda root: (root / "attributes.csv").write_text(
        (root / "attributes.csv").read_text().replace("train-001,dry", "train-001,wet")
    ),
    "image without mask": lambda root: shutil.copy(
        root / "images/train/train-000.png", root / "images/train/extra.png"
    ),
    "unreadable": lambda root: [
        (root / "masks/val/val-001.png").unlink(),
        (root / "masks/val/val-001.png").symlink_to(root / "masks/nowhere.png"),
    ],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_whatever_ingest_would_notice_moves_it(config, change):
    before = fingerprint_dataset(config)
    change(Path(config.root))
    assert fingerprint_dataset(config) != before


def test_a_listing_has_attributes_and_the_problems_of_their_file(config):
    assert {pair.attributes for pair in list_dataset(config).pairs} == {(("weather", "dry"),)}
    Path(config.root, "attributes.csv").write_text("image_id,weather\ntrain-000,dry\n")
    listing = list_dataset(config)
    assert [problem.code for problem in listing.problems] == ["missing_attributes"]


def test_a_folder_that_is_not_there_is_refused(config, tmp_path):
    with pytest.raises(RefusedError, match="nowhere"):
        fingerprint_dataset(config.model_copy(update={"root": str(tmp_path / "nowhere")}))


def test_a_snapshot_has_a_line_a_pair_by_id(config):
    from data.read_pairs import digest_pair

    pairs = list_dataset(config).pairs
    rows = [json.loads(line) for line in snapshot_lines(pairs, map(digest_pair, reversed(pairs)))]
    assert [row["id"] for row in rows] == ["train-000", "train-001", "train-002", "val-000", "val-001"]
    assert rows[3]["split"] == "val"
    assert rows[3]["mask_path"] == f"{config.root}/masks/val/val-000.png"
    assert set(rows[0]) == {"id", "split", "image_sha256", "mask_sha256", "image_path", "mask_path"}
