from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from data.check_dataset import check_dataset
from data.config import ClassConfig, DataConfig
from data.errors import RefusedError
from data.propose_classes import ProposedClasses
from data.propose_settings import propose_settings
from data.recognise_dataset import Proposal, recognise_dataset
from data.write_config import render_config
from pipeline.config import load_config, validate_config
from pipeline.init_command import run_init

SECTIONS = [
    "name",
    "data",
    "transform",
    "augment",
    "trainer",
    "data_gate",
    "evaluation",
    "smoke_test",
    "beam",
]


@pytest.fixture
def data_set(tmp_path: Path) -> Path:
    """Twenty 40x30 photographs with masks of 0, 1 and 255, without splits; too few to start processes for."""
    root = tmp_path / "data"
    generator = np.random.default_rng(1)
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    for index in range(20):
        Image.fromarray(generator.integers(0, 256, (30, 40, 3), np.uint8)).save(root / f"images/{index}.png")
        mask = generator.choice(np.array([0, 1, 255], np.uint8), (30, 40))
        Image.fromarray(mask).save(root / f"masks/{index}.png")
    return root


def test_the_written_configuration_loads_and_checks(data_set: Path, tmp_path: Path) -> None:
    out = tmp_path / "my.yaml"
    assert run_init(data_set, out, force=False, as_json=False) == 0
    assert list(yaml.safe_load(out.read_text())) == SECTIONS
    config = load_config(out)
    assert config.data == recognise_dataset(str(data_set)).config.model_copy(
        update={"classes": config.data.classes}
    )
    assert [entry.name for entry in config.data.classes] == ["background", "foreground"]
    assert all(entry.colour is not None for entry in config.data.classes)
    report = check_dataset(config.data, required_splits=config.evaluation.splits)
    assert not report.problems and set(report.splits) == {"train", "val", "test"}
    assert (config.transform.height_px, config.transform.width_px) == (32, 40)
    assert config.evaluation.gates.floors == {"mean_iou": 0.2}


def test_every_line_of_settings_is_commented_or_plain_and_classes_show_shares(
    data_set: Path, tmp_path: Path
) -> None:
    run_init(data_set, tmp_path / "my.yaml", force=False, as_json=False)
    text = (tmp_path / "my.yaml").read_text()
    rows = re.findall(r"    - (\{.*\})\s+# +([\d.]+)%", text)
    assert len(rows) == 2 and sum(float(share) for _, share in rows) == pytest.approx(100)
    lines = [line for line in text.splitlines() if "root:" not in line]
    assert max(len(line) for line in lines) <= 110


def test_a_relative_folder_stays_relative_to_the_file(
    data_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "configs").mkdir()
    monkeypatch.chdir(tmp_path)
    assert run_init(Path("data"), Path("configs/my.yaml"), force=False, as_json=False) == 0
    written = yaml.safe_load((tmp_path / "configs/my.yaml").read_text())
    assert written["data"]["root"] == "../data"
    assert load_config(tmp_path / "configs/my.yaml").data.root == str(data_set)
    assert run_init(data_set, Path("configs/other.yaml"), force=False, as_json=False) == 0
    assert yaml.safe_load((tmp_path / "configs/other.yaml").read_text())["data"]["root"] == str(data_set)


def test_a_file_is_not_overwritten_unless_forced(data_set: Path, tmp_path: Path) -> None:
    out = tmp_path / "my.yaml"
    out.write_text("mine")
    with pytest.raises(RefusedError, match="--force"):
        run_init(data_set, out, force=False, as_json=False)
    assert out.read_text() == "mine"
    assert run_init(data_set, out, force=True, as_json=False) == 0
    assert load_config(out).name == "data"
    with pytest.raises(RefusedError, match="cannot be written"):
        run_init(data_set, tmp_path / "absent/my.yaml", force=False, as_json=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "my.yaml"]


def test_json_is_one_document(data_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_init(data_set, tmp_path / "my.yaml", force=False, as_json=True) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["config"] == str(tmp_path / "my.yaml") and document["layout"] == "folder"
    assert document["working_size"] == {"height_px": 32, "width_px": 40}
    assert document["report"]["pairs"] == 20 and captured.err == ""


def test_problems_are_told_and_the_file_is_written(
    data_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data_set / "masks/3.png").write_bytes(b"")
    (data_set / "images/5.png").unlink()
    assert run_init(data_set, tmp_path / "my.yaml", force=False, as_json=False) == 2
    captured = capsys.readouterr()
    assert "masks/3.png: the file is empty" in captured.err and "masks/5.png: is a mask" in captured.err
    assert "mend the problems first" in captured.out
    assert load_config(tmp_path / "my.yaml").data.layout == "folder"


@pytest.mark.slow
def test_the_real_camvid(camvid: Path, tmp_path: Path) -> None:
    proposal = recognise_dataset(str(camvid), limit=30)
    (tmp_path / "camvid.yaml").write_text(render_config(proposal))
    config = load_config(tmp_path / "camvid.yaml")
    assert config.name == "camvid" and config.data.void_values == (11,) and config.data.ignore_id == 255
    assert config.evaluation.splits == ("val",) and config.evaluation.gate_split == "val"
    assert config.trainer.max_minutes == 8 and config.trainer.class_weighting == "none"
    assert (config.transform.width_px, config.transform.height_px) == (240, 184)


@pytest.fixture(scope="module")
def plain_proposal(tmp_path_factory: pytest.TempPathFactory) -> Proposal:
    """A proposal to vary."""
    root = tmp_path_factory.mktemp("plain")
    for kind, value in (("images", 9), ("masks", 0)):
        for split in ("train", "val"):
            (root / kind / split).mkdir(parents=True)
            Image.fromarray(np.full((8, 8), value, np.uint8)).save(root / kind / split / f"{split}.png")
    return recognise_dataset(str(root))


_NAMES = st.text(min_size=1, max_size=20).filter(lambda name: not re.search(r"[/\x00-\x1f]", name))


@given(st.lists(_NAMES, min_size=2, max_size=2, unique=True), _NAMES, st.text(min_size=1))
def test_any_names_survive_the_yaml(
    plain_proposal: Proposal, names: list[str], folder: str, remark: str
) -> None:
    config = DataConfig(
        root=f"/data/{folder}",
        images=folder,
        mask_suffix=folder,
        classes=tuple(ClassConfig(id=index, name=name) for index, name in enumerate(names)),
    )
    proposal = Proposal(
        name="x",
        config=config,
        classes=ProposedClasses("id", config.classes, source=remark),
        report=plain_proposal.report,
        settings=propose_settings(plain_proposal.report),
        warnings=(remark,),
    )
    loaded = validate_config(yaml.safe_load(render_config(proposal)))
    assert [entry.name for entry in loaded.data.classes] == names
    assert (loaded.data.root, loaded.data.images, loaded.data.mask_suffix) == (config.root, folder, folder)


def test_rgb_and_mask_values_survive_the_yaml(
    plain_proposal: Proposal, write_yaml: Callable[..., Path]
) -> None:
    config = DataConfig(
        root="r",
        mask_encoding="rgb",
        classes=(
            ClassConfig(id=0, name="a", colour=(1, 2, 3), mask_values=(7, 8)),
            ClassConfig(id=1, name="b", colour=(3, 2, 1)),
        ),
        void_colours=((0, 0, 0), (9, 9, 9)),
    )
    proposal = Proposal(
        "x",
        config,
        ProposedClasses("rgb", config.classes),
        plain_proposal.report,
        plain_proposal.settings,
        (),
    )
    loaded = load_config(write_yaml(render_config(proposal))).data
    assert loaded.classes == config.classes and loaded.void_colours == config.void_colours
