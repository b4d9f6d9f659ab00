from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.config import DataConfig
from data.errors import RefusedError
from pipeline.check_command import run_check


@pytest.fixture
def data_set(tmp_path: Path) -> Path:
    """Two pairs for training and one for validation, with classes 0 and 1."""
    root = tmp_path / "data"
    for index, split in enumerate(("train", "train", "val")):
        for kind in ("images", "masks"):
            (root / kind / split).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), index, np.uint8)).save(root / f"images/{split}/{index}.png")
        Image.fromarray(np.eye(8, dtype=np.uint8)).save(root / f"masks/{split}/{index}.png")
    return root


def configure(root: Path) -> DataConfig:
    rows = [{"id": 0, "name": "[bold]ground"}, {"id": 1, "name": "tree"}]
    return DataConfig.model_validate({"root": str(root), "classes": rows})


def test_a_sound_data_set(data_set: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_check(configure(data_set), as_json=False) == 0
    captured = capsys.readouterr()
    assert "3: 2 train, 1 val (its own splits)" in captured.out and "87.50%" in captured.out
    assert "[bold]ground" in captured.out and "no problems in 3 pairs" in captured.out
    assert captured.err == ""


def test_a_folder_is_recognised_first(data_set: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_check(data_set, as_json=False) == 0
    assert "foreground" in capsys.readouterr().out
    assert run_check(data_set, as_json=True) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["layout"] == "folder" and document["report"]["ok"] is True


def test_every_problem_is_a_sentence_on_stderr(data_set: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data_set / "images/train/0.png").write_text("text")
    (data_set / "masks/val/2.png").unlink()
    assert run_check(configure(data_set), as_json=False) == 2
    captured = capsys.readouterr()
    assert captured.err.splitlines() == [
        "images/train/0.png: is not an image but text. Replace it by a PNG or JPEG file, or take its pair"
        " away.",
        "images/val: the split val is empty: no image there has a mask. Put images and masks there, or take"
        " the folder or list away.",
        "images/val/2.png: has no mask: masks holds none of the name 2. Add the mask or take the image away.",
    ]
    assert "3 problems" in captured.out


def test_json_goes_alone_to_stdout(data_set: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data_set / "masks/val/2.png").write_bytes(b"")
    assert run_check(configure(data_set), as_json=True) == 2
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["ok"] is False and document["problems"][0]["code"] == "empty_file"
    assert "masks/val/2.png: the file is empty" in captured.err


def test_required_splits(data_set: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_check(configure(data_set), False, required_splits=("val", "test")) == 2
    assert "evaluation.splits: the data set has no split test" in capsys.readouterr().err


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="no such folder"):
        run_check(tmp_path / "nothing", as_json=False)


def test_nothing_heavy_is_imported(data_set: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from pipeline.check_command import run_check; "
        "from pipeline.init_command import run_init; run_check(Path(sys.argv[1]), True); "
        "print(sorted({'tensorflow', 'keras', 'tfx', 'apache_beam', 'sklearn', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(data_set)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
