"""The configurations that come with the package."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.classes import build_class_table
from data.errors import RefusedError
from data.known_classes import camvid_classes
from pipeline.check_command import run_check
from pipeline.config import PRESETS, PipelineConfig, load_config, preset_path

NAMES = ("binary", "camvid", "cityscapes", "digits", "voc")


def _load(name: str, root: Path | str = "/somewhere") -> PipelineConfig:
    return load_config(preset_path(name), [] if name == "digits" else [f"data.root={root}"])


def _colours(name: str) -> dict[str, tuple[int, int, int]]:
    return {entry.name: entry.colour for entry in _load(name).data.classes}  # type: ignore[misc]


def test_these_are_all():
    assert sorted(path.stem for path in PRESETS.glob("*.yaml")) == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_is_valid_and_named_after_its_file(name):
    config = _load(name)
    assert config.name == name
    build_class_table(config.data)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "digits"])
def test_the_header_has_the_command_and_what_was_measured(name):
    head = preset_path(name).read_text(encoding="utf-8").split("\nname:")[0]
    assert f"#   deconvflow run --preset {name} --set data.root=DATA\n" in head
    assert re.search(r"Measured on .* mean IoU|No result of this preset was measured", head, re.DOTALL)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "digits"])
def test_without_data_they_are_refused_by_the_key(name):
    with pytest.raises(RefusedError) as refused:
        load_config(preset_path(name))
    assert [problem.where for problem in refused.value.problems] == ["data.root"]


def test_a_relative_root_starts_where_the_user_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load_config(preset_path("camvid"), ["data.root=scenes", "push.root=models"])
    assert (config.data.root, config.push.root) == (str(tmp_path / "scenes"), str(tmp_path / "models"))


def test_camvid_is_what_init_writes():
    data = _load("camvid").data
    assert data.classes == camvid_classes() and data.void_values == (11,)
    assert [entry.name for entry in data.classes][:4] == ["Sky", "Building", "Pole", "Road"]
    assert _colours("camvid")["Road"] == (128, 64, 128)


def test_voc_has_21_classes_of_its_palette():
    classes = _load("voc").data.classes
    assert len(classes) == 21
    assert [classes[index].name for index in (0, 1, 15, 20)] == [
        "background", "aeroplane", "person", "tvmonitor",
    ]  # fmt: skip
    assert [classes[index].colour for index in (0, 1, 2, 15, 20)] == [
        (0, 0, 0), (128, 0, 0), (0, 128, 0), (192, 128, 128), (0, 64, 128),
    ]  # fmt: skip


def test_cityscapes_has_19_train_ids_of_34_label_ids():
    data = _load("cityscapes").data
    by_label = {(entry.mask_values or ())[0]: (entry.id, entry.name) for entry in data.classes}
    assert len(by_label) == 19
    assert {label: by_label[label] for label in (7, 8, 24, 26, 33)} == {
        7: (0, "road"), 8: (1, "sidewalk"), 24: (11, "person"), 26: (13, "car"), 33: (18, "bicycle"),
    }  # fmt: skip
    assert set(by_label) | set(data.void_values) == {*range(34), 255}
    assert _colours("cityscapes")["road"] == (128, 64, 128)
    assert _colours("cityscapes")["car"] == (0, 0, 142)


def _save(path: Path, pixels: np.ndarray, palette: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    if palette:
        image.putpalette([value for value in range(256) for _ in range(3)])
    image.save(path)


def _stripes(*values: int) -> np.ndarray:
    """Returns a mask with a row of each value."""
    return np.repeat(np.array(values, np.uint8)[:, None], 8, axis=1)


def _image(index: int, rows: int) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 256, (rows, 8, 3), np.uint8)


def _make_voc(root: Path) -> None:
    lists = root / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    for index, split in enumerate(("train", "val")):
        _save(root / f"JPEGImages/2007_{index}.jpg", _image(index, 22))
        _save(root / f"SegmentationClass/2007_{index}.png", _stripes(*range(21), 255), palette=True)
        (lists / f"{split}.txt").write_text(f"2007_{index}\n")


def _make_cityscapes(root: Path) -> None:
    for index, place in enumerate(("train/aachen/aachen", "val/lindau/lindau")):
        name = f"{place}_000000_000019"
        _save(root / f"leftImg8bit/{name}_leftImg8bit.png", _image(index, 34))
        _save(root / f"gtFine/{name}_gtFine_labelIds.png", _stripes(*range(34)))


def _make_camvid(root: Path) -> None:
    for index, split in enumerate(("train", "val")):
        _save(root / f"{split}/{index}.png", _image(index, 12))
        _save(root / f"{split}annot/{index}.png", _stripes(*range(12)))


def _make_binary(root: Path) -> None:
    for index, split in enumerate(("train", "val", "test")):
        _save(root / f"images/{split}/{index}.png", _image(index, 4))
        _save(root / f"masks/{split}/{index}.png", _stripes(0, 0, 255, 255))


@pytest.mark.parametrize(
    ("name", "make", "pairs"),
    [
        ("voc", _make_voc, 2),
        ("cityscapes", _make_cityscapes, 2),
        ("camvid", _make_camvid, 2),
        ("binary", _make_binary, 3),
    ],
)
def test_a_small_data_set_of_its_layout_has_no_problems(
    name: str, make: Callable[[Path], None], pairs: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    make(tmp_path)
    config = _load(name, tmp_path)
    assert run_check(config.data, as_json=False, required_splits=config.evaluation.splits) == 0
    assert f"no problems in {pairs} pairs" in capsys.readouterr().out


def test_an_unknown_value_is_found(tmp_path, capsys):
    _make_voc(tmp_path)
    _save(tmp_path / "SegmentationClass/2007_0.png", _stripes(*range(22)), palette=True)
    assert run_check(_load("voc", tmp_path).data, as_json=False) == 2
    assert "2007_0.png" in capsys.readouterr().err


@pytest.mark.slow
def test_the_real_camvid_has_no_problems(camvid, capsys):
    config = _load("camvid", camvid)
    assert run_check(config.data, as_json=False, required_splits=config.evaluation.splits) == 0
    assert "468: 367 train, 101 val" in capsys.readouterr().out
