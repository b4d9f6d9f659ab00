from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from data.config import DataConfig
from data.known_classes import CITYSCAPES_VOID, cityscapes_classes
from data.list_pairs import list_pairs

Make = Callable[..., DataConfig]
Save = Callable[..., Path]
PIXELS = np.zeros((2, 2), np.uint8)


def test_camvid(tmp_path: Path, make_config: Make, save: Save) -> None:
    for name in ("train/a", "trainannot/a", "val/b", "valannot/b", "test/c", "testannot/c"):
        save(tmp_path / f"{name}.png", PIXELS)
    listing = list_pairs(make_config(tmp_path, layout="camvid"))
    assert [(pair.image_id, pair.split) for pair in listing.pairs] == [
        ("a", "train"),
        ("b", "val"),
        ("c", "test"),
    ]
    assert listing.pairs[2].mask_path == f"{tmp_path}/testannot/c.png"
    assert listing.own_splits and not listing.problems


def test_camvid_without_test_and_with_half_of_val(tmp_path: Path, make_config: Make, save: Save) -> None:
    for name in ("train/a", "trainannot/a", "val/b"):
        save(tmp_path / f"{name}.png", PIXELS)
    problems = list_pairs(make_config(tmp_path, layout="camvid")).problems
    assert [(problem.code, problem.where) for problem in problems] == [
        ("empty_split", f"{tmp_path}/val"),
        ("missing_folder", f"{tmp_path}/valannot"),
    ]


def test_the_real_camvid(camvid: Path, make_config: Make) -> None:
    listing = list_pairs(make_config(camvid, 11, layout="camvid", void_values=[11]))
    assert Counter(pair.split for pair in listing.pairs) == {"train": 367, "val": 101}
    assert not listing.problems and listing.own_splits


def voc_folder(root: Path, save: Save) -> Path:
    for name in ("2007_1", "2007_2", "2007_3", "unsegmented"):
        save(root / f"JPEGImages/{name}.jpg", PIXELS)
    for name in ("2007_1", "2007_2", "2007_3"):
        save(root / f"SegmentationClass/{name}.png", PIXELS)
    lists = root / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("2007_1\n")
    (lists / "val.txt").write_text("2007_2\n")
    (lists / "trainval.txt").write_text("2007_1\n2007_2\n")
    return root


def test_voc_takes_what_the_lists_name(tmp_path: Path, make_config: Make, save: Save) -> None:
    listing = list_pairs(make_config(voc_folder(tmp_path, save), layout="voc"))
    assert [(pair.image_id, pair.split) for pair in listing.pairs] == [("2007_1", "train"), ("2007_2", "val")]
    assert not listing.problems
    assert listing.notes == ("1 image with a mask but in no split list: left out",)


def test_voc_test_list_without_masks_is_left_out(tmp_path: Path, make_config: Make, save: Save) -> None:
    root = voc_folder(tmp_path, save)
    (root / "ImageSets/Segmentation/test.txt").write_text("unsegmented\n")
    listing = list_pairs(make_config(root, layout="voc"))
    assert not listing.problems and {pair.split for pair in listing.pairs} == {"train", "val"}
    assert "the split test is left out" in listing.notes[0]


def test_voc_listed_image_without_mask_and_mask_without_image(
    tmp_path: Path, make_config: Make, save: Save
) -> None:
    root = voc_folder(tmp_path, save)
    (root / "ImageSets/Segmentation/val.txt").write_text("2007_2\nunsegmented\nabsent\n")
    save(root / "SegmentationClass/orphan.png", PIXELS)
    assert sorted(problem.code for problem in list_pairs(make_config(root, layout="voc")).problems) == [
        "listed_without_file",
        "missing_image",
        "missing_mask",
    ]


def test_voc_without_lists_is_split_by_hash(tmp_path: Path, make_config: Make, save: Save) -> None:
    root = voc_folder(tmp_path, save)
    for path in (root / "ImageSets/Segmentation").iterdir():
        path.unlink()
    listing = list_pairs(make_config(root, layout="voc", splits={"train": 1.0, "val": 0.0, "test": 0.0}))
    assert len(listing.pairs) == 3 and not listing.own_splits and not listing.problems


def cityscapes_folder(root: Path, save: Save, test_value: int) -> Path:
    for split, city, value in (("train", "aachen", 7), ("val", "lindau", 26), ("test", "berlin", test_value)):
        name = f"{split}/{city}/{city}_000000_000019"
        save(root / f"leftImg8bit/{name}_leftImg8bit.png", PIXELS)
        save(root / f"gtFine/{name}_gtFine_labelIds.png", np.full((2, 2), value, np.uint8))
        save(root / f"gtFine/{name}_gtFine_color.png", PIXELS)
    return root


def cityscapes_config(make_config: Make, root: Path) -> DataConfig:
    rows = [entry.model_dump() for entry in cityscapes_classes()]
    return make_config(root, layout="cityscapes", classes=rows, void_values=CITYSCAPES_VOID)


def test_cityscapes(tmp_path: Path, make_config: Make, save: Save) -> None:
    listing = list_pairs(cityscapes_config(make_config, cityscapes_folder(tmp_path, save, test_value=7)))
    assert not listing.problems and not listing.notes
    assert [(pair.image_id, pair.split, pair.attributes) for pair in listing.pairs] == [
        ("aachen_000000_000019", "train", (("city", "aachen"),)),
        ("berlin_000000_000019", "test", (("city", "berlin"),)),
        ("lindau_000000_000019", "val", (("city", "lindau"),)),
    ]


def test_cityscapes_void_test_masks_are_left_out(tmp_path: Path, make_config: Make, save: Save) -> None:
    listing = list_pairs(cityscapes_config(make_config, cityscapes_folder(tmp_path, save, test_value=3)))
    assert {pair.split for pair in listing.pairs} == {"train", "val"} and not listing.problems
    assert listing.notes == ("the split test is left out: 1 mask there, void throughout",)
