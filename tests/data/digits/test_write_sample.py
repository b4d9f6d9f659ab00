from __future__ import annotations

import csv
import hashlib
import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from data.digits.load_sources import CLASS_NAMES, PHOTO_COLUMNS_PX, SPLITS, assign_scans, load_sources
from data.digits.write_sample import MARKER_NAME, write_digits_sample
from data.errors import RefusedError

COUNTS = {"train": 24, "val": 5, "test": 7}


def hash_files(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digits_sample(tmp_path_factory.mktemp("digits") / "sample", seed=3, **COUNTS)


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(sample: Path, tmp_path: Path) -> None:
    again = write_digits_sample(tmp_path / "again", seed=3, **COUNTS)
    other = write_digits_sample(tmp_path / "other", seed=4, **COUNTS)
    assert hash_files(again) == hash_files(sample)
    different = [name for name, digest in hash_files(other).items() if hash_files(sample).get(name) != digest]
    assert len(different) >= sum(COUNTS.values())


def test_every_image_has_a_mask_of_its_size_with_known_ids_only(sample: Path) -> None:
    allowed = {*range(11), 255}
    sizes, suffixes = set(), set()
    for split, count in COUNTS.items():
        images = sorted((sample / "images" / split).iterdir())
        assert len(images) == count
        for path in images:
            mask = np.asarray(Image.open(sample / "masks" / split / f"{path.stem}.png"))
            image = np.asarray(Image.open(path))
            assert mask.dtype == np.uint8 and image.shape == (*mask.shape, 3)
            assert set(np.unique(mask).tolist()) <= allowed
            assert {0, 255} < set(np.unique(mask).tolist())
            sizes.add(mask.shape)
            suffixes.add(path.suffix)
    assert len(sizes) > 20 and suffixes == {".png", ".jpg"}
    assert any(side % 2 for size in sizes for side in size)


def test_attributes_count_the_digits_that_the_mask_shows(sample: Path) -> None:
    with (sample / "attributes.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(COUNTS.values())
    for row in rows:
        (path,) = (sample / "masks").glob(f"*/{row['image_id']}.png")
        mask = np.asarray(Image.open(path))
        classes = len(set(np.unique(mask).tolist()) - {0, 255})
        assert row["contrast"] in {"low", "high"}
        assert classes <= 2 or row["digits"] == "many"
    assert {row["digits"] for row in rows} == {"few", "many"}


def test_scans_are_dealt_out_once_and_evenly_over_the_classes() -> None:
    digits = load_digits().target
    dealt = assign_scans(digits, seed=0)
    together = np.concatenate([dealt[split] for split in SPLITS])
    assert sorted(together.tolist()) == list(range(1797))
    for split, share in (("train", 0.7), ("val", 0.1), ("test", 0.2)):
        counts = np.bincount(digits[dealt[split]], minlength=10)
        np.testing.assert_allclose(counts, share * np.bincount(digits), atol=1)
    assert not np.array_equal(assign_scans(digits, seed=1)["train"], dealt["train"])


def test_no_photo_region_is_in_two_splits_and_every_region_holds_a_scene() -> None:
    spans = sorted(PHOTO_COLUMNS_PX.values())
    assert all(left[1] <= right[0] for left, right in itertools.pairwise(spans))
    assert all(stop - start >= 96 for start, stop in spans)
    sources = load_sources(0)
    for split, (start, stop) in PHOTO_COLUMNS_PX.items():
        assert [photo.shape for photo in sources[split].photos] == [(427, stop - start, 3)] * 2


def test_void_is_a_thin_rim_between_stroke_and_background(sample: Path) -> None:
    masks = [np.asarray(Image.open(path)) for path in sorted((sample / "masks" / "train").iterdir())]
    void = sum(int((mask == 255).sum()) for mask in masks)
    ink = sum(int(((mask > 0) & (mask < 255)).sum()) for mask in masks)
    assert 0.02 < void / ink < 0.3
    assert len(CLASS_NAMES) == 11 and CLASS_NAMES[10] == "digit_9"


def test_a_sample_that_is_there_is_left_alone_and_another_one_is_replaced(tmp_path: Path) -> None:
    root = write_digits_sample(tmp_path / "sample", seed=0, train=2, val=1, test=1)
    touched = next((root / "masks" / "train").iterdir())
    touched.write_bytes(b"changed by its user")
    write_digits_sample(root, seed=0, train=2, val=1, test=1)
    assert touched.read_bytes() == b"changed by its user"
    write_digits_sample(root, seed=1, train=3, val=1, test=1)
    assert len(list((root / "images" / "train").iterdir())) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["sample"]


def test_a_folder_of_something_else_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(RefusedError, match="holds no digits sample"):
        write_digits_sample(tmp_path, train=1, val=1, test=1)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    assert not (tmp_path / MARKER_NAME).exists()


def test_an_interrupted_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("data.digits.write_sample._write_scene", fail)
    with pytest.raises(KeyboardInterrupt):
        write_digits_sample(tmp_path / "sample", train=1, val=1, test=1)
    assert list(tmp_path.iterdir()) == []
