"""Names, links, pipes, devices and permissions: what a folder can hold besides files that are read."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from data.check_dataset import check_dataset
from data.config import DataConfig
from data.fingerprint_dataset import hash_pair
from data.open_files import list_files
from data.open_image import MAX_FILE_BYTES
from data.pairs import Pair

# What waits for a pipe waits for ever.
pytestmark = pytest.mark.timeout(60)

IMAGE, MASK = "images/train/odd.png", "masks/train/odd.png"


def fill(root: Path, image: str = IMAGE, mask: str = MASK) -> None:
    shutil.copy(root / "images/train/train-000.png", root / image)
    shutil.copy(root / "masks/train/train-000.png", root / mask)


def find_problems(config: DataConfig) -> list[tuple[str, str]]:
    report = check_dataset(config, workers=1)
    assert all(problem.remedy for problem in report.problems)
    return [(problem.where.removeprefix(f"{config.root}/"), problem.code) for problem in report.problems]


@pytest.mark.parametrize(
    "name",
    [
        "with spaces  twice",
        "-rf",
        "--help",
        "a" * 251,
        "naïve \N{SNOWMAN} 日本",
        "a.b.c",
        "100%",
        "$(id)",
        "a'\"b",
        "a;b",
    ],
)
def test_names_that_are_taken(good_set: DataConfig, name: str) -> None:
    fill(Path(good_set.root), f"images/train/{name}.png", f"masks/train/{name}.png")
    report = check_dataset(good_set, workers=1)
    assert not report.problems and report.examined == 7


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"two\nlines", "two\\nlines"),
        (b"caf\xe9", "caf\\udce9"),
        (b"\x1b[31mred", "\\x1b[31mred"),
        (b"tab\there", "tab\\there"),
        ("line\u2028end".encode(), "line\\u2028end"),
    ],
)
def test_names_that_are_refused_are_shown_on_one_line(good_set: DataConfig, name: bytes, shown: str) -> None:
    for folder in ("images", "masks"):
        source = Path(good_set.root, folder, "train/train-000.png")
        # As bytes: pathlib has no paths that are no text.
        with open(os.fsencode(source.parent) + b"/" + name + b".png", "wb") as file:  # noqa: PTH123
            file.write(source.read_bytes())
    assert find_problems(good_set) == [
        (f"images/train/{shown}.png", "bad_name"),
        (f"masks/train/{shown}.png", "bad_name"),
    ]


def test_a_folder_of_a_bad_name_shows_in_its_files(good_set: DataConfig) -> None:
    root = Path(good_set.root)
    for folder in ("images", "masks"):
        (root / folder / "train/a\nb").mkdir()
    fill(root, "images/train/a\nb/1.png", "masks/train/a\nb/1.png")
    assert [where for where, _ in find_problems(good_set)] == [
        "images/train/a\\nb/1.png",
        "masks/train/a\\nb/1.png",
    ]


def test_hidden_images_are_noted(good_set: DataConfig) -> None:
    fill(Path(good_set.root), "images/train/.odd.png", "masks/train/.odd.png")
    report = check_dataset(good_set, workers=1)
    assert not report.problems and report.examined == 6
    assert report.notes == ("2 hidden files with an image's ending left out, e.g. images/train/.odd.png",)


def test_links_inside_are_followed(good_set: DataConfig) -> None:
    root = Path(good_set.root)
    (root / IMAGE).symlink_to("train-000.png")
    (root / MASK).symlink_to(root / "masks/train/train-000.png")
    assert find_problems(good_set) == []


def test_links_that_lead_out_nowhere_or_to_themselves_are_refused(
    good_set: DataConfig, tmp_path: Path
) -> None:
    root = Path(good_set.root)
    shutil.copy(root / "images/train/train-000.png", tmp_path / "secret.png")
    for name, target in (("out", tmp_path / "secret.png"), ("gone", "none.png"), ("loop", "loop.png")):
        fill(root, f"images/train/{name}.png", f"masks/train/{name}.png")
        (root / f"images/train/{name}.png").unlink()
        (root / f"images/train/{name}.png").symlink_to(target)
    assert find_problems(good_set) == [
        ("images/train/gone.png", "unreadable_file"),
        ("images/train/loop.png", "unreadable_file"),
        ("images/train/out.png", "escaping_link"),
        ("masks/train/out.png", "missing_image"),
    ]


def test_folders_that_link_to_each_other_end(good_set: DataConfig) -> None:
    root = Path(good_set.root, "images/train")
    folders = [root / f"f{index}" for index in range(12)]
    for folder in folders:
        folder.mkdir()
    for folder in folders:
        for other in folders:
            (folder / f"to-{other.name}").symlink_to(other)
    # Among them lead more than 12! ways.
    named = {f"images/train/{folder.name}" for folder in folders}
    found = find_problems(good_set)
    assert {code for _, code in found} == {"many_links"} and {where for where, _ in found} <= named


def test_folders_of_any_depth_are_walked(tmp_path: Path) -> None:
    folder = str(tmp_path)
    for _ in range(1100):
        folder += "/d"
        # The whole path at once is too much for pathlib, which calls itself for each part.
        os.mkdir(folder)  # noqa: PTH102
    Path(folder, "a.png").touch()
    try:
        (below,) = list_files(str(tmp_path)).files
        assert below == "d/" * 1100 + "a.png"
    finally:
        # What clears the folders of old tests away calls itself, too.
        subprocess.run(["rm", "-r", str(tmp_path / "d")], check=True)


def make_socket(path: Path) -> None:
    import socket

    # A socket's whole path may have some hundred characters only.
    folder = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(folder)


def make_device(path: Path) -> None:
    try:
        os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))  # What /dev/zero is: without an end.
    except PermissionError:
        pytest.skip("only root makes devices, and not everywhere")


SPECIAL: dict[str, Callable[[Path], None]] = {
    "pipe": lambda path: os.mkfifo(path),
    "device": make_device,
    "socket": make_socket,
}


@pytest.mark.parametrize("place", [IMAGE, MASK])
@pytest.mark.parametrize("make", SPECIAL.values(), ids=SPECIAL)
def test_what_is_no_file_is_refused_and_not_waited_for(
    good_set: DataConfig, make: Callable[[Path], None], place: str
) -> None:
    root = Path(good_set.root)
    fill(root)
    (root / place).unlink()
    make(root / place)
    assert find_problems(good_set) == [(place, "unreadable_file")]
    with pytest.raises(OSError):
        hash_pair(Pair("odd", "train", str(root / IMAGE), str(root / MASK)))


def test_a_folder_named_as_an_image_is_no_image(good_set: DataConfig) -> None:
    root = Path(good_set.root)
    fill(root)
    (root / IMAGE).unlink()
    (root / IMAGE).mkdir()
    assert find_problems(good_set) == [(MASK, "missing_image")]


def test_a_file_of_too_many_bytes_is_refused_before_it_is_read(good_set: DataConfig) -> None:
    root = Path(good_set.root)
    fill(root)
    # It takes no room on the disk.
    os.truncate(root / IMAGE, MAX_FILE_BYTES + 1)
    (problem,) = check_dataset(good_set, workers=1).problems
    assert (problem.where, problem.code) == (f"{root}/{IMAGE}", "too_large")
    assert "268,435,457 bytes" in problem.what
    os.truncate(root / IMAGE, MAX_FILE_BYTES)
    assert find_problems(good_set) == []


@pytest.fixture
def shared_set(write_pairs: Callable[..., DataConfig]) -> Iterator[DataConfig]:
    """A data set in a folder that every user may enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield write_pairs(Path(folder), {"train": 4, "val": 2})


_AS_ANOTHER_USER = """
import os, sys
from data.check_dataset import check_dataset
from data.config import DataConfig
if os.geteuid() == 0:
    os.seteuid(65534)
for problem in check_dataset(DataConfig.model_validate_json(sys.argv[1]), workers=1).problems:
    print(problem.where, problem.code)
"""


def test_what_may_not_be_read_is_refused(shared_set: DataConfig) -> None:
    root = Path(shared_set.root)
    fill(root)
    (root / IMAGE).chmod(0)
    (root / "images/train/locked").mkdir(mode=0)
    command = [sys.executable, "-c", _AS_ANOTHER_USER, shared_set.model_dump_json()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == [
        f"{root}/images/train/locked unreadable_file",
        f"{root}/{IMAGE} unreadable_file",
    ]


def test_a_picture_is_compared_by_content_whatever_its_name_says(good_set: DataConfig) -> None:
    root = Path(good_set.root)
    fill(root, "images/train/odd.PNG", "masks/train/odd.tiff")
    with Image.open(root / "images/train/train-001.png") as image:
        image.save(root / "images/train/odd.PNG", "JPEG")
    assert find_problems(good_set) == []
