from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data import progress
from data.check_dataset import check_dataset
from data.check_report import CheckReport
from data.config import DataConfig
from data.find_near_duplicates import NearDuplicateRule
from data.fingerprint_dataset import fingerprint, hash_pair
from data.list_pairs import list_pairs

Make = Callable[..., DataConfig]
Fill = Callable[..., Path]
Save = Callable[..., Path]


def make_every_mistake(root: Path, fill_folder: Fill, save: Save) -> dict[str, str]:
    """Writes a data set with every kind of mistake; returns path below the root -> code."""
    names = ["truncated", "size", "no_mask", "no_image", "unknown", "empty", "text", "twice", "fine", "leak"]
    fill_folder(root, [f"train/{name}" for name in names] + ["val/same_name", "train/same_name"])
    train, masks = root / "images/train", root / "masks/train"
    (train / "truncated.png").write_bytes((train / "truncated.png").read_bytes()[:-30])
    save(masks / "size.png", np.zeros((5, 6), np.uint8))
    (masks / "no_mask.png").unlink()
    (train / "no_image.png").unlink()
    save(masks / "unknown.png", np.full((4, 6), 42, np.uint8))
    (masks / "empty.png").write_bytes(b"")
    (train / "text.png").write_text("not a picture\n")
    save(train / "twice.jpg", np.zeros((4, 6, 3), np.uint8))
    save(root / "masks/val/copy.png", np.zeros((4, 6), np.uint8))
    (root / "images/val/copy.png").write_bytes((train / "leak.png").read_bytes())
    (root / "images/test").mkdir()
    (root / "outside.png").symlink_to("/etc/hostname")
    return {
        "images/train/truncated.png": "truncated_image",
        "masks/train/size.png": "size_mismatch",
        "images/train/no_mask.png": "missing_mask",
        "masks/train/no_image.png": "missing_image",
        "masks/train/unknown.png": "unknown_class_id",
        "masks/train/empty.png": "empty_file",
        "images/train/text.png": "not_an_image",
        "images/train/twice.png": "duplicate_id",
        "images/val/copy.png": "leak",
        "images/test": "empty_split",
        "outside.png": "escaping_link",
    }


@pytest.mark.parametrize("workers", [1, 2])
def test_all_mistakes_are_found_at_once(
    tmp_path: Path, make_config: Make, fill_folder: Fill, save: Save, workers: int
) -> None:
    expected = make_every_mistake(tmp_path, fill_folder, save)
    fill_folder(tmp_path, [f"train/more/{index}" for index in range(40)])
    report = check_dataset(make_config(tmp_path), workers=workers)
    found = {problem.where.removeprefix(f"{tmp_path}/"): problem.code for problem in report.problems}
    assert found == expected and len(report.problems) == len(expected)
    assert report.fingerprint is None
    unknown = next(problem for problem in report.problems if problem.code == "unknown_class_id")
    assert "42 (24 pixels)" in unknown.what
    for problem in report.problems:
        assert problem.remedy.endswith(tuple("abcdefghijklmnopqrstuvwxyz")) and problem.what


def test_what_a_sound_data_set_holds(tmp_path: Path, make_config: Make, save: Save) -> None:
    save(tmp_path / "images/train/a.png", np.zeros((2, 4, 3), np.uint8))
    save(tmp_path / "masks/train/a.png", np.array([[0, 0, 1, 1], [0, 0, 255, 255]], np.uint8))
    save(tmp_path / "images/train/b.jpg", np.zeros((2, 2), np.uint8))
    save(tmp_path / "masks/train/b.png", np.zeros((2, 2), np.uint8))
    save(tmp_path / "images/val/c.png", np.ones((2, 4, 3), np.uint8))
    save(tmp_path / "masks/val/c.png", np.full((2, 4), 255, np.uint8))
    config = make_config(tmp_path, num_classes=3)
    report = check_dataset(config)
    train, val = report.splits["train"], report.splits["val"]
    assert not report.problems and list(report.splits) == ["train", "val"] and report.own_splits
    assert (train.pairs, train.class_pixels, train.class_images) == (2, (8, 2, 0), (2, 1, 0))
    assert train.void_pixels == 2 and train.shares() == (0.8, 0.2, 0.0)
    assert (val.class_pixels, val.void_pixels, val.shares()) == ((0, 0, 0), 8, (0.0, 0.0, 0.0))
    assert report.total_class_pixels() == (8, 2, 0)
    assert report.sizes == (((4, 2), 2), ((2, 2), 1)) and report.largest_void_share == 1
    assert report.kinds == {"png, 3 channels, 8 bit": 2, "jpeg, 1 channel, 8 bit": 1}
    pairs = list_pairs(config).pairs
    assert report.fingerprint == fingerprint((p.image_id, p.split, *hash_pair(p)) for p in pairs)


def test_json_document(tmp_path: Path, make_config: Make, fill_folder: Fill) -> None:
    fill_folder(tmp_path, ["train/a", "val/b"])
    (tmp_path / "masks/val/b.png").unlink()
    document = json.loads(json.dumps(check_dataset(make_config(tmp_path)).to_json()))
    assert document["ok"] is False and document["pairs"] == 1 and document["fingerprint"] is None
    assert {problem["code"] for problem in document["problems"]} == {"missing_mask", "empty_split"}
    assert document["splits"]["train"]["classes"]["c1"] == {"pixels": 12, "share": 0.5, "images": 1}
    assert document["sizes"] == [{"width_px": 6, "height_px": 4, "images": 1}]


def test_splits_that_evaluation_needs(tmp_path: Path, make_config: Make, fill_folder: Fill) -> None:
    fill_folder(tmp_path, ["train/a", "val/b"])
    (problem,) = check_dataset(make_config(tmp_path), required_splits=("train", "val", "test")).problems
    assert problem.where == "evaluation.splits" and "no split test" in problem.what


def test_attributes_are_checked_too(tmp_path: Path, make_config: Make, fill_folder: Fill) -> None:
    fill_folder(tmp_path, ["train/a", "val/b"])
    (tmp_path / "attributes.csv").write_text("image_id,weather\na,sun\nz,sun\n")
    report = check_dataset(make_config(tmp_path, attributes="attributes.csv"))
    assert {problem.code for problem in report.problems} == {"unknown_image_id", "missing_attributes"}


def test_a_limit_spreads_over_the_data_set(tmp_path: Path, make_config: Make, fill_folder: Fill) -> None:
    fill_folder(tmp_path, [f"train/{index:02d}" for index in range(10)])
    (tmp_path / "masks/train/05.png").write_bytes(b"")
    (tmp_path / "masks/train/06.png").write_bytes(b"")
    report = check_dataset(make_config(tmp_path), limit=2)
    assert report.examined == 2 and report.pairs == 10 and report.fingerprint is None
    assert [Path(problem.where).name for problem in report.problems] == ["05.png"]


@pytest.mark.parametrize("workers", [1, 2])
def test_progress_counts_every_pair(
    tmp_path: Path, make_config: Make, fill_folder: Fill, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    fill_folder(tmp_path, [f"train/{index:02d}" for index in range(50)])
    seen: list[Any] = []

    class Counter:
        @contextmanager
        def stage(self, name: str, total: float | None = None) -> Any:
            seen.append([total, 0])
            yield self

        def advance(self, amount: float = 1, note: str = "") -> None:
            seen[-1][1] += amount

    monkeypatch.setattr(progress, "_reporter", Counter())
    check_dataset(make_config(tmp_path), workers=workers)
    assert seen == [[50, 50]]


def test_warnings_say_what_deserves_a_look(tmp_path: Path, make_config: Make, save: Save) -> None:
    generator = np.random.default_rng(0)
    for index in range(4):
        size = (100, 100 + index % 2)
        save(tmp_path / f"images/train/{index}.png", generator.integers(0, 255, size, np.uint8))
        save(tmp_path / f"masks/train/{index}.png", np.zeros(size, np.uint8))
    mask = np.zeros((100, 100), np.uint8)
    mask[0, 0] = 1
    save(tmp_path / "masks/train/0.png", mask)
    save(tmp_path / "images/val/v.png", generator.integers(0, 255, (10, 10, 3), np.uint8))
    save(tmp_path / "masks/val/v.png", np.full((10, 10), 255, np.uint8))
    save(tmp_path / "images/val/w.png", generator.integers(0, 65535, (10, 10), np.uint16))
    save(tmp_path / "masks/val/w.png", np.array([[2, 1]] * 5 + [[0, 0]] * 5, np.uint8).repeat(5, axis=1))
    warnings = "\n".join(check_dataset(make_config(tmp_path, num_classes=3)).warnings)
    for expected in (
        "only 4 training images",
        "only 2 images in val",
        "never learned: c2",
        "3 image sizes, 10 to 101 px wide and 10 to 100 px high",
        "c1 (0.00%)",
        "c0 is 100.0% of the training pixels",
        "5 of 6 images are grey",
        "1 of 6 images have 16 bits",
    ):
        assert expected in warnings, expected


@pytest.fixture
def with_copies(tmp_path: Path, make_picture: Callable[[int], Image.Image], save: Save) -> Path:
    """A data set with copies of train's pictures in other splits: encoded anew, resized, and exact."""
    for split, seeds in (("train", range(4)), ("val", (20, 21)), ("test", (30, 31))):
        for seed in seeds:
            make_picture(seed).save(_image_path(tmp_path, split, f"{split}{seed}.png"), compress_level=1)
    make_picture(0).save(tmp_path / "images/test/encoded.jpg", quality=60)
    make_picture(1).resize((160, 120)).save(tmp_path / "images/val/smaller.png")
    shutil.copyfile(tmp_path / "images/train/train3.png", tmp_path / "images/test/exact.png")
    for split in ("train", "val"):
        for name in ("black", "white"):
            save(
                tmp_path / f"images/{split}/{name}-{split}.png",
                np.full((20, 30), len(split + name), np.uint8),
            )
    for path in sorted((tmp_path / "images").rglob("*.*")):
        with Image.open(path) as picture:
            mask = np.zeros((picture.height, picture.width), np.uint8)
        save(tmp_path / "masks" / path.parent.name / f"{path.stem}.png", mask)
    return tmp_path


def _image_path(root: Path, split: str, name: str) -> Path:
    path = root / "images" / split / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _near(report: CheckReport, root: Path) -> dict[str, str]:
    assert report.near_duplicates is not None
    return {
        one.path.removeprefix(f"{root}/images/"): one.other_path.removeprefix(f"{root}/images/")
        for one in report.near_duplicates.found
    }


def test_near_duplicates_in_other_splits_are_warned_of(with_copies: Path, make_config: Make) -> None:
    report = check_dataset(make_config(with_copies))
    assert _near(report, with_copies) == {
        "test/encoded.jpg": "train/train0.png",
        "val/smaller.png": "train/train1.png",
    }
    # The exact copy is refused, and nothing else is.
    assert [(Path(one.where).name, one.code) for one in report.problems] == [("exact.png", "leak")]
    warnings = [text for text in report.warnings if "looks like images in train" in text]
    assert [text.partition(" looks")[0] for text in warnings] == [
        "1 of 4 images in test",
        "1 of 5 images in val",
    ]
    assert [note.partition(" with")[0] for note in report.notes] == ["4 images"]
    document = report.to_json()["near_duplicates"]
    assert document["plain_images"] == 4 and document["found"][0]["split"] in ("val", "test")


def test_near_duplicates_are_refused_or_ignored_where_that_is_asked_for(
    with_copies: Path, make_config: Make
) -> None:
    (with_copies / "images/test/exact.png").unlink()
    (with_copies / "masks/test/exact.png").unlink()
    refused = check_dataset(make_config(with_copies), near_duplicates=NearDuplicateRule("fail"))
    assert {(Path(one.where).name, one.code) for one in refused.problems} == {
        ("encoded.jpg", "near_duplicate"),
        ("smaller.png", "near_duplicate"),
    }
    assert refused.fingerprint is None and not any("like images in" in text for text in refused.warnings)
    ignored = check_dataset(make_config(with_copies), near_duplicates=NearDuplicateRule("ignore"))
    assert ignored.near_duplicates is None and not ignored.problems and ignored.fingerprint
    assert ignored.to_json()["near_duplicates"] is None and not ignored.notes
    strict = check_dataset(make_config(with_copies), near_duplicates=NearDuplicateRule("warn", 0))
    assert _near(strict, with_copies) == {}


def test_what_is_left_out_is_no_near_duplicate(with_copies: Path, make_config: Make, save: Save) -> None:
    (with_copies / "images/test/exact.png").unlink()
    (with_copies / "masks/test/exact.png").unlink()
    save(with_copies / "masks/test/encoded.png", np.zeros((3, 3), np.uint8))
    report = check_dataset(make_config(with_copies, on_bad_example="quarantine", max_bad_share=0.5))
    assert report.quarantine is not None and report.quarantine.bad == 1
    assert _near(report, with_copies) == {"val/smaller.png": "train/train1.png"}


def test_camvid_is_sound(camvid: Path, make_config: Make) -> None:
    report = check_dataset(make_config(camvid, 11, layout="camvid", void_values=[11]), limit=40)
    assert not report.problems and report.sizes == (((480, 360), 40),)
