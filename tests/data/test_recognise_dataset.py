from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.errors import RefusedError
from data.open_files import list_files
from data.recognise_dataset import recognise_dataset, safe_name
from data.recognise_layout import RecognisedLayout, recognise_layout

Save = Callable[..., Path]
Fill = Callable[..., Path]
MASK = np.zeros((40, 60), np.uint8)
MASK[10:20] = 1


def photo_of(name: str) -> np.ndarray:
    return np.random.default_rng(list(name.encode())).integers(0, 256, (40, 60, 3), np.uint8)


def layout_of(root: Path) -> RecognisedLayout:
    return recognise_layout(list_files(str(root)))


def write(root: Path, save: Save, images: str, masks: str, names: tuple[str, ...] = ("a", "b", "c")) -> None:
    """Writes photographs and masks; {} in the paths stands for the name."""
    for name in names:
        save(root / images.format(name), photo_of(name))
        save(root / masks.format(name), MASK)


@pytest.mark.parametrize(
    ("images", "masks", "expected"),
    [
        ("images/{}.png", "masks/{}.png", RecognisedLayout("folder")),
        ("images/train/{}.png", "masks/train/{}.png", RecognisedLayout("folder")),
        ("train/img/{}.jpg", "train/labels/{}.png", RecognisedLayout("folder", "", "img", "labels")),
        (
            "JPG/{}.jpg",
            "annotations/trimaps/{}.png",
            RecognisedLayout("folder", "", "JPG", "annotations/trimaps"),
        ),
        ("imgs/{}.png", "gt/{}_mask.png", RecognisedLayout("folder", "", "imgs", "gt", "_mask")),
        ("{}.jpg", "{}_mask.png", RecognisedLayout("folder", "", ".", ".", "_mask")),
        ("all/{}.jpg", "all/{}_L.png", RecognisedLayout("folder", "", "all", "all", "_L")),
        ("set/images/{}.png", "set/masks/{}.png", RecognisedLayout("folder", "set")),
        ("images/x/{}.png", "masks/x/{}.png", RecognisedLayout("folder")),
        ("images/train/{}.png", "masks/{}.png", RecognisedLayout("folder")),
        ("one/{}.png", "two/{}.png", RecognisedLayout("folder", "", "one", "two")),
        ("two/{}.png", "one/{}.png", RecognisedLayout("folder", "", "two", "one")),
        ("train/{}.png", "trainannot/{}.png", RecognisedLayout("camvid")),
        ("cam/train/{}.png", "cam/trainannot/{}.png", RecognisedLayout("camvid", "cam")),
        ("V/VOC/JPEGImages/{}.jpg", "V/VOC/SegmentationClass/{}.png", RecognisedLayout("voc", "V/VOC")),
        (
            "leftImg8bit/train/x/{}_leftImg8bit.png",
            "gtFine/train/x/{}_gtFine_labelIds.png",
            RecognisedLayout("cityscapes"),
        ),
    ],
)
def test_layouts(tmp_path: Path, save: Save, images: str, masks: str, expected: RecognisedLayout) -> None:
    write(tmp_path, save, images, masks)
    found = layout_of(tmp_path)
    if expected.layout != "folder":
        found = RecognisedLayout(found.layout, found.below)
    assert found == expected


def test_nothing_recognisable_names_the_layouts(tmp_path: Path, save: Save) -> None:
    save(tmp_path / "photos/a.png", photo_of("a"))
    with pytest.raises(RefusedError, match=r"1 files and photos.*camvid"):
        recognise_dataset(str(tmp_path))
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    assert layout_of(tmp_path) == RecognisedLayout("folder")


def test_a_folder_without_splits_is_proposed_in_full(tmp_path: Path, save: Save) -> None:
    root = tmp_path / "My Data_2"
    write(root, save, "images/{}.png", "masks/{}.png", tuple(f"{index}" for index in range(12)))
    (root / "classes.txt").write_text("ground\nbuilding\n")
    (root / "attributes.csv").write_text("image_id,season\n" + "".join(f"{i},winter\n" for i in range(12)))
    proposal = recognise_dataset(str(root))
    assert proposal.name == "my-data-2" and not proposal.report.problems
    assert [entry.name for entry in proposal.config.classes] == ["ground", "building"]
    assert proposal.config.attributes == "attributes.csv" and proposal.report.attributes == ("season",)
    assert not proposal.report.own_splits and set(proposal.report.splits) == {"train", "val", "test"}
    assert (proposal.settings.width_px, proposal.settings.height_px) == (64, 40)
    assert proposal.report.total_class_pixels() == (12 * 30 * 60, 12 * 10 * 60)
    assert proposal.to_json()["data"]["classes"][1]["name"] == "building"


def test_rgb_masks_by_a_colour_file(tmp_path: Path, save: Save) -> None:
    painted = np.zeros((40, 60, 3), np.uint8)
    painted[:5], painted[5:9] = (128, 64, 128), (0, 0, 1)
    for name in ("train/a", "val/b"):
        save(tmp_path / f"images/{name}.png", photo_of(name))
        save(tmp_path / f"masks/{name}.png", painted)
    (tmp_path / "label_colors.txt").write_text("128 64 128\troad\n0 0 1\tsea\n0 0 0\tVoid\n")
    proposal = recognise_dataset(str(tmp_path))
    assert proposal.config.mask_encoding == "rgb" and proposal.config.void_colours == ((0, 0, 0),)
    assert proposal.report.splits["train"].class_pixels == (300, 240) and not proposal.report.problems
    assert proposal.settings.gate_split == "val"


def test_palette_masks_of_voc(tmp_path: Path, save: Save) -> None:
    for name in ("one", "two"):
        save(tmp_path / f"JPEGImages/{name}.jpg", photo_of(name))
        image = Image.fromarray(np.where(MASK == 1, 15, 255).astype(np.uint8), "L")
        image.putpalette([index // 3 for index in range(768)])
        (tmp_path / "SegmentationClass").mkdir(exist_ok=True)
        image.save(tmp_path / f"SegmentationClass/{name}.png")
    (tmp_path / "ImageSets/Segmentation").mkdir(parents=True)
    (tmp_path / "ImageSets/Segmentation/train.txt").write_text("one")
    (tmp_path / "ImageSets/Segmentation/val.txt").write_text("two")
    proposal = recognise_dataset(str(tmp_path))
    assert proposal.config.mask_encoding == "palette" and not proposal.report.problems
    assert proposal.report.splits["val"].class_pixels[15] == 600


def test_problems_are_reported_not_raised(tmp_path: Path, save: Save, fill_folder: Fill) -> None:
    fill_folder(tmp_path, ["train/a", "train/b", "val/c"])
    (tmp_path / "masks/train/b.png").write_bytes(b"")
    (tmp_path / "images/val/d.png").write_text("text")
    report = recognise_dataset(str(tmp_path)).report
    assert {problem.code for problem in report.problems} == {"empty_file", "missing_mask"}


def test_the_real_camvid(camvid: Path) -> None:
    proposal = recognise_dataset(str(camvid), limit=60)
    assert proposal.config.layout == "camvid" and proposal.config.void_values == (11,)
    assert [entry.name for entry in proposal.config.classes][:2] == ["Sky", "Building"]
    assert (proposal.settings.width_px, proposal.settings.height_px) == (240, 184)
    assert proposal.settings.splits == ("val",) and proposal.settings.gate_split == "val"
    assert not proposal.report.problems and proposal.name == "camvid"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/a/CamVid/", "camvid"),
        ("x/Ünï.2", "n-2"),
        ("/", "segmentation"),
        ("a" * 99, "a" * 63),
        ("-_-", "segmentation"),
    ],
)
def test_safe_names(path: str, name: str) -> None:
    assert safe_name(path) == name
