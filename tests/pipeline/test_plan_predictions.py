"""Which images are found, and where their masks go."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.errors import RefusedError
from pipeline.plan_predictions import plan_predictions


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"")


def plan(*arguments: str, out: str = "out", overwrite: bool = False) -> dict[str, str]:
    found = plan_predictions(arguments, Path(out), overwrite)
    return {one.image: str(one.mask) for one in found.images}


def refusal(*arguments: str, out: str = "out", overwrite: bool = False) -> str:
    with pytest.raises(RefusedError) as refused:
        plan_predictions(arguments, Path(out), overwrite)
    return str(refused.value)


def test_a_folder_becomes_a_tree_of_masks() -> None:
    touch("photos/a.png", "photos/deep/er/b.JPG", "photos/notes.txt", "photos/.hidden.png")
    assert plan("photos") == {"photos/a.png": "a.png", "photos/deep/er/b.JPG": "deep/er/b.png"}
    assert plan_predictions(["photos"], Path("out"), False).notes == (
        "photos: 1 files are neither .png nor .jpg and were passed over",
    )


def test_files_go_by_their_names() -> None:
    touch("x/a.png", "y/b.jpeg", "odd.bin")
    # What is named by itself is tried whatever its name.
    assert plan("x/a.png", "y/b.jpeg", "odd.bin") == {
        "x/a.png": "a.png",
        "y/b.jpeg": "b.png",
        "odd.bin": "odd.png",
    }


def test_patterns_keep_what_they_leave_open() -> None:
    touch("photos/a.png", "photos/2026/b.png", "photos/2026/c.jpg")
    assert plan("photos/**/*.png") == {"photos/a.png": "a.png", "photos/2026/b.png": "2026/b.png"}
    assert plan("photos/*/c.*") == {"photos/2026/c.jpg": "2026/c.png"}
    assert plan("photos/**") == {
        "photos/a.png": "a.png",
        "photos/2026/b.png": "2026/b.png",
        "photos/2026/c.jpg": "2026/c.png",
    }


def test_names_that_differ_in_their_ending_only_keep_it() -> None:
    touch("photos/a.png", "photos/a.jpg", "photos/b.png", "photos/A.jpeg")
    assert plan("photos") == {
        "photos/A.jpeg": "A.jpeg.png",
        "photos/a.jpg": "a.jpg.png",
        "photos/a.png": "a.png.png",
        "photos/b.png": "b.png",
    }


def test_what_is_still_alike_is_numbered_and_the_usual_name_stays() -> None:
    touch("photos/a.png", "photos/a.jpg", "photos/a.jpg.png")
    assert plan("photos") == {
        "photos/a.png": "a.png.png",
        "photos/a.jpg": "a.jpg-2.png",
        "photos/a.jpg.png": "a.jpg.png",
    }


def test_an_overlay_shares_no_name_with_a_mask() -> None:
    touch("photos/a.png", "photos/a.overlay.jpg")
    found = plan_predictions(["photos"], Path("out"), False)
    names = [str(name) for one in found.images for name in (one.mask, one.overlay)]
    assert len(set(names)) == 4


def test_several_folders_stay_apart_by_their_names() -> None:
    touch("set/train/1.png", "set/val/1.png", "2.png")
    assert plan("set/train/", "set/val", "2.png") == {
        "set/train/1.png": "train/1.png",
        "set/val/1.png": "val/1.png",
        "2.png": "2.png",
    }
    # The shell expands set/*/*.png to files.
    assert plan("set/train/1.png", "set/val/1.png") == {
        "set/train/1.png": "train/1.png",
        "set/val/1.png": "val/1.png",
    }


def test_an_image_that_is_named_twice_is_done_once() -> None:
    touch("photos/a.png")
    Path("link.png").symlink_to("photos/a.png")
    assert plan("photos", "photos/a.png", "./photos/a.png", "link.png") == {"photos/a.png": "a.png"}


def test_masks_of_an_earlier_call_are_no_images() -> None:
    touch("photos/a.png", "photos/masks/a.png")
    assert plan("photos", out="photos/masks", overwrite=True) == {"photos/a.png": "a.png"}


def test_nothing_is_overwritten_without_being_told() -> None:
    touch("photos/a.png", "photos/b.png", "out/a.png", "out/predictions.jsonl")
    assert "out/predictions.jsonl: is there already (and 1 more)" in refusal("photos")
    assert plan("photos", overwrite=True) == {"photos/a.png": "a.png", "photos/b.png": "b.png"}


def test_an_image_is_never_overwritten() -> None:
    touch("photos/a.png")
    assert "photos/a.png: is one of the images" in refusal("photos/a.png", out="photos", overwrite=True)


def test_every_argument_that_names_nothing_is_told() -> None:
    touch("empty/notes.txt")
    text = refusal("missing", "empty", "none/*.png")
    assert "missing: there is no such file or folder" in text
    assert "empty: holds no image" in text
    assert "none/*.png: matches no image" in text


def test_links_out_of_a_folder_are_passed_over_and_told() -> None:
    touch("photos/a.png", "elsewhere/b.png")
    Path("photos/b.png").symlink_to(Path("elsewhere/b.png").resolve())
    found = plan_predictions(["photos"], Path("out"), False)
    assert [one.image for one in found.images] == ["photos/a.png"]
    assert "photos/b.png" in found.notes[0] and found.notes[0].endswith("passed over")
