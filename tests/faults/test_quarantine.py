"""``data.on_bad_example: quarantine``: what is left out, what still refuses, and when it is too much."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from data.check_dataset import check_dataset
from data.check_report import CheckReport
from data.config import DataConfig
from data.errors import Problem
from data.quarantine import BadExample, judge_examples
from pipeline.check_command import run_check
from pipeline.command_documents import CheckDocument


@pytest.fixture
def config(write_pairs: Callable[..., DataConfig], tmp_path: Path) -> DataConfig:
    """Eight sound pairs and one of a broken image, one of whose masks is gone, one of a bad name."""
    config = write_pairs(tmp_path / "data", {"train": 9, "val": 2})
    root = Path(config.root)
    (root / "images/train/train-002.png").write_bytes(b"")
    (root / "masks/train/train-002.png").write_bytes(b"")
    (root / "masks/train/train-005.png").unlink()
    (root / "images/val/val-001.png").rename(root / "images/val/val\n001.png")
    (root / "masks/val/val-001.png").unlink()
    return config.model_copy(update={"on_bad_example": "quarantine", "max_bad_share": 0.3})


def check(config: DataConfig, **keys: object) -> CheckReport:
    return check_dataset(config.model_copy(update=keys), workers=1)


def test_what_is_bad_is_left_out_and_named(config: DataConfig) -> None:
    report = check(config)
    assert report.problems == () and report.fingerprint is None
    assert report.quarantine is not None
    found = [
        (one.problem.where.removeprefix(config.root + "/"), one.problem.code, one.image_id, one.split)
        for one in report.quarantine.left_out
    ]
    assert found == [
        ("images/train/train-002.png", "empty_file", "train-002", "train"),
        ("images/train/train-005.png", "missing_mask", "", ""),
        ("images/val/val\\n001.png", "bad_name", "", ""),
        ("masks/train/train-002.png", "empty_file", "train-002", "train"),
    ]
    # 11 pairs, of which 8 are sound; a pair with two bad files is one.
    assert (report.quarantine.bad, report.quarantine.sound) == (3, 8)
    assert report.quarantine.bad_share == pytest.approx(3 / 11)


def test_too_large_a_share_is_refused_with_every_file(config: DataConfig) -> None:
    assert check(config, max_bad_share=3 / 11).problems == ()
    problems = check(config, max_bad_share=0.27).problems
    assert [problem.code for problem in problems] == [
        "empty_file",
        "missing_mask",
        "bad_name",
        "empty_file",
        "too_many_bad",
    ]
    assert problems[-1].sentence() == (
        "data.max_bad_share: 3 of 11 examples are bad (27.27%), and at most 27.00% may be left out. Mend the"
        " files that are named, or raise it."
    )


def test_nothing_is_left_out_unless_it_is_asked_for(config: DataConfig) -> None:
    report = check(config, on_bad_example="fail")
    assert report.quarantine is None and len(report.problems) == 4
    assert DataConfig.model_fields["on_bad_example"].default == "fail"
    assert DataConfig.model_fields["max_bad_share"].default == 0.01


def test_sound_data_leaves_nothing_out(write_pairs: Callable[..., DataConfig], tmp_path: Path) -> None:
    report = check(
        write_pairs(tmp_path, {"train": 2, "val": 1}), on_bad_example="quarantine", max_bad_share=0.0
    )
    assert report.problems == () and report.fingerprint
    assert report.quarantine is not None and report.quarantine.to_json() == {
        "bad": 0,
        "sound": 3,
        "bad_share": 0.0,
        "max_bad_share": 0.0,
        "left_out": [],
    }


def test_what_concerns_more_than_one_example_still_refuses(config: DataConfig, tmp_path: Path) -> None:
    root = Path(config.root)
    shutil.copy(root / "images/train/train-000.png", root / "images/val/val-000.png")
    (tmp_path / "elsewhere").mkdir()
    (root / "images/train/more").symlink_to(tmp_path / "elsewhere")
    (root / "attributes.csv").write_text("no,ids\n")
    problems = check(config, attributes="attributes.csv").problems
    assert [(problem.where.removeprefix(config.root + "/"), problem.code) for problem in problems] == [
        ("attributes.csv", "missing_column"),
        ("images/train/more", "escaping_link"),
        ("images/val/val-000.png", "leak"),
    ]


def test_a_split_without_a_sound_pair_is_refused(config: DataConfig) -> None:
    Path(config.root, "masks/val/val-000.png").write_bytes(b"")
    (problem,) = check(config, max_bad_share=1.0).problems
    assert problem.code == "empty_split" and "split val" in problem.what


def test_lines_that_name_what_is_not_there_are_left_out(config: DataConfig) -> None:
    problems = [
        Problem("/d/train.txt, line 3", "no image", "Add it", "listed_without_file"),
        Problem("/d/train.txt", "is no text", "Write it anew", "unreadable_file"),
    ]
    fatal, quarantine = judge_examples(config, problems, [BadExample("a", "train", ())], {"train": 9})
    assert fatal == {problems[1]} and quarantine is not None
    assert [one.problem for one in quarantine.left_out] == problems[:1] and quarantine.bad == 2


def test_check_says_what_is_left_out_and_is_content(
    config: DataConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_check(config, as_json=False) == 0
    captured = capsys.readouterr()
    assert "3 of 11 examples left out (27.27%, at most 30.00%)" in captured.out
    assert captured.err.splitlines()[0] == (
        "left out: images/train/train-002.png: the file is empty. Restore it, or take its pair away."
    )
    assert len(captured.err.splitlines()) == 4
    assert run_check(config, as_json=True) == 0
    document = CheckDocument.model_validate(json.loads(capsys.readouterr().out))
    assert document.ok and document.quarantine is not None
    assert [row.image_id for row in document.quarantine.left_out] == ["train-002", None, None, "train-002"]
    assert run_check(config.model_copy(update={"max_bad_share": 0.1}), as_json=False) == 2
    assert "data.max_bad_share: 3 of 11" in capsys.readouterr().err
