from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from data.config import DataConfig
from data.errors import RefusedError
from data.list_pairs import Listing, list_pairs

Make = Callable[..., DataConfig]
Fill = Callable[..., Path]
Save = Callable[..., Path]
PIXELS = np.zeros((2, 2), np.uint8)


def splits_of(listing: Listing) -> dict[str, str]:
    return {pair.image_id: pair.split for pair in listing.pairs}


def problems_of(listing: Listing, root: Path) -> list[tuple[str, str]]:
    """(code, path below the root) of every problem."""
    return [(problem.code, problem.where.removeprefix(f"{root}/")) for problem in listing.problems]


def test_split_folders_are_kept_and_left_out_of_the_id(
    tmp_path: Path, make_config: Make, fill_folder: Fill
) -> None:
    fill_folder(tmp_path, ["training/a", "valid/b", "validation/c", "testing/city/d"])
    listing = list_pairs(make_config(tmp_path))
    assert splits_of(listing) == {"a": "train", "b": "val", "c": "val", "city/d": "test"}
    assert listing.own_splits and not listing.problems
    assert listing.pairs[0].image_path == f"{tmp_path}/images/training/a.png"
    assert listing.pairs[0].mask_path == f"{tmp_path}/masks/training/a.png"


def test_split_folders_above_images_and_below_a_subfolder(
    tmp_path: Path, make_config: Make, fill_folder: Fill
) -> None:
    fill_folder(tmp_path / "one/train", ["a"])
    fill_folder(tmp_path / "one/eval", ["sub/b"])
    listing = list_pairs(make_config(tmp_path / "one"))
    assert splits_of(listing) == {"a": "train", "sub/b": "val"} and not listing.problems
    fill_folder(tmp_path / "two", ["berlin/train/a", "paris/val/a"])
    listing = list_pairs(make_config(tmp_path / "two"))
    assert splits_of(listing) == {"berlin/a": "train", "paris/a": "val"} and not listing.problems


def test_without_splits_the_id_decides(tmp_path: Path, make_config: Make, fill_folder: Fill) -> None:
    names = [f"nested/{index}" for index in range(60)]
    fill_folder(tmp_path, names)
    before = list_pairs(make_config(tmp_path))
    assert not before.own_splits and not before.problems
    assert set(Counter(splits_of(before).values())) == {"train", "val", "test"}
    fill_folder(tmp_path, [f"more/{index}" for index in range(20)])
    after = splits_of(list_pairs(make_config(tmp_path)))
    assert len(after) == 80 and {name: after[name] for name in names} == splits_of(before)


def test_endings_may_differ_and_hidden_files_do_not_count(
    tmp_path: Path, make_config: Make, save: Save
) -> None:
    save(tmp_path / "images/train/a.JPG", PIXELS, format="JPEG")
    save(tmp_path / "masks/train/a.png", PIXELS)
    for name in ("images/.DS_Store", "images/train/Thumbs.db", "masks/train/._a.png", "images/readme.txt"):
        (tmp_path / name).write_bytes(b"x")
    listing = list_pairs(make_config(tmp_path))
    assert splits_of(listing) == {"a": "train"} and not listing.problems


def test_masks_without_split_folders_serve_all(tmp_path: Path, make_config: Make, save: Save) -> None:
    for name in ("images/train/a.png", "images/val/b.png", "masks/a.png", "masks/b.png"):
        save(tmp_path / name, PIXELS)
    listing = list_pairs(make_config(tmp_path))
    assert splits_of(listing) == {"a": "train", "b": "val"} and not listing.problems


def test_suffix_in_one_folder_and_in_two(tmp_path: Path, make_config: Make, save: Save) -> None:
    for name in ("all/train/a.png", "all/train/a_mask.png", "img/train/b.png", "lab/train/b_gt.png"):
        save(tmp_path / name, PIXELS)
    save(tmp_path / "lab/train/b_colour.png", PIXELS)
    one = list_pairs(make_config(tmp_path, images="all", masks="all", mask_suffix="_mask"))
    assert splits_of(one) == {"a": "train"} and not one.problems
    two = list_pairs(make_config(tmp_path, images="img", masks="lab", mask_suffix="_gt"))
    assert [pair.mask_path for pair in two.pairs] == [f"{tmp_path}/lab/train/b_gt.png"] and not two.problems
    (problem,) = list_pairs(make_config(tmp_path, images="all", masks="all")).problems
    assert problem.where == "data.mask_suffix"


@pytest.mark.parametrize("folder", ["", "splits/", "ImageSets/", "ImageSets/Segmentation/"])
def test_split_lists(tmp_path: Path, make_config: Make, fill_folder: Fill, folder: str) -> None:
    fill_folder(tmp_path, ["a", "sub/b", "c d", "e", "unlisted"])
    lists = tmp_path / folder
    lists.mkdir(parents=True, exist_ok=True)
    (lists / "train.txt").write_text("a\nimages/sub/b.png masks/sub/b.png\n\n")
    (lists / "val.txt").write_bytes(b"\xef\xbb\xbfc d.png\r\n")
    (lists / "test.txt").write_text("./images/e.png")
    (lists / "trainval.txt").write_text("a\n")
    listing = list_pairs(make_config(tmp_path))
    assert splits_of(listing) == {"a": "train", "sub/b": "train", "c d": "val", "e": "test"}
    assert listing.own_splits and not listing.problems
    assert listing.notes == ("1 of 5 images in no split list: left out",)


def test_bad_entries_of_split_lists(tmp_path: Path, make_config: Make, fill_folder: Fill) -> None:
    fill_folder(tmp_path, ["a", "b"])
    (tmp_path / "train.txt").write_text("a\na\nnothing\n../../etc/passwd\n/etc/passwd\n")
    (tmp_path / "val.txt").write_text("b\na\n")
    (tmp_path / "test.txt").write_text("")
    assert problems_of(list_pairs(make_config(tmp_path)), tmp_path) == [
        ("empty_split", "test.txt"),
        ("duplicate_id", "train.txt, line 2"),
        ("listed_without_file", "train.txt, line 3"),
        ("escaping_path", "train.txt, line 4"),
        ("escaping_path", "train.txt, line 5"),
        ("duplicate_id", "val.txt, line 2"),
    ]


def test_every_structural_problem_at_once(
    tmp_path: Path, make_config: Make, fill_folder: Fill, save: Save
) -> None:
    fill_folder(tmp_path, ["train/a", "train/b", "train/c", "val/d", "val/a"])
    (tmp_path / "masks/train/b.png").unlink()
    (tmp_path / "images/val/d.png").unlink()
    save(tmp_path / "images/train/c.jpg", PIXELS, format="JPEG")
    save(tmp_path / "images/train/e.bmp", PIXELS)
    save(tmp_path / "images/stray.png", PIXELS)
    save(tmp_path / "masks/stray.png", PIXELS)
    (tmp_path / "images/test").mkdir()
    listing = list_pairs(make_config(tmp_path))
    assert sorted(problems_of(listing, tmp_path)) == sorted(
        [
            ("missing_mask", "images/train/b.png"),
            ("missing_image", "masks/val/d.png"),
            ("duplicate_id", "images/train/c.png"),
            ("unsupported_format", "images/train/e.bmp"),
            ("no_split", "images/stray.png"),
            ("empty_split", "images/test"),
        ]
    )
    for problem in listing.problems:
        assert problem.remedy[0].isupper() and str(tmp_path) in problem.sentence()


def test_splits_may_use_the_same_names(tmp_path: Path, make_config: Make, fill_folder: Fill) -> None:
    fill_folder(tmp_path, ["train/a", "val/a", "val/b"])
    listing = list_pairs(make_config(tmp_path))
    assert not listing.problems
    assert [(pair.image_id, pair.split) for pair in listing.pairs] == [
        ("b", "val"),
        ("train/a", "train"),
        ("val/a", "val"),
    ]
    assert listing.pairs[2].mask_path == f"{tmp_path}/masks/val/a.png"


def test_two_masks_for_one_image(tmp_path: Path, make_config: Make, fill_folder: Fill, save: Save) -> None:
    fill_folder(tmp_path, ["train/a"])
    save(tmp_path / "masks/train/a.bmp", PIXELS)
    assert problems_of(list_pairs(make_config(tmp_path)), tmp_path) == [("duplicate_id", "masks/train/a.png")]


def test_missing_folders_name_what_is_there(tmp_path: Path, make_config: Make) -> None:
    (tmp_path / "pictures").mkdir()
    listing = list_pairs(make_config(tmp_path))
    assert problems_of(listing, tmp_path) == [("missing_folder", "images"), ("missing_folder", "masks")]
    assert "holds pictures" in listing.problems[0].what and "data.images" in listing.problems[0].remedy
    with pytest.raises(RefusedError, match="no such folder"):
        list_pairs(make_config(tmp_path / "nowhere"))


def test_no_images_at_all(tmp_path: Path, make_config: Make) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    assert [problem.code for problem in list_pairs(make_config(tmp_path)).problems] == ["no_images"]


def test_no_training_split_and_no_image_for_a_share(
    tmp_path: Path, make_config: Make, fill_folder: Fill
) -> None:
    fill_folder(tmp_path / "own", ["val/a"])
    (problem,) = list_pairs(make_config(tmp_path / "own")).problems
    assert problem.code == "empty_split" and "none of the name train" in problem.what
    fill_folder(tmp_path / "one", ["image-0"])
    problems = list_pairs(make_config(tmp_path / "one")).problems
    assert [problem.where for problem in problems] == ["data.splits.test", "data.splits.val"]
    only_train = {"train": 1.0, "val": 0.0, "test": 0.0}
    assert not list_pairs(make_config(tmp_path / "one", splits=only_train)).problems


@pytest.mark.parametrize("folder", ["../other", "/etc"])
def test_folders_must_stay_below_the_root(tmp_path: Path, make_config: Make, folder: str) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "root").mkdir()
    (problem, *_) = list_pairs(make_config(tmp_path / "root", images=folder)).problems
    assert problem.code == "escaping_path" and problem.where == "data.images"


def test_links_out_of_the_root_are_refused(tmp_path: Path, make_config: Make, fill_folder: Fill) -> None:
    fill_folder(tmp_path / "root", ["train/a"])
    (tmp_path / "secret.png").touch()
    (tmp_path / "root/images/train/b.png").symlink_to(tmp_path / "secret.png")
    listing = list_pairs(make_config(tmp_path / "root"))
    assert problems_of(listing, tmp_path / "root") == [("escaping_link", "images/train/b.png")]
    assert splits_of(listing) == {"a": "train"}
