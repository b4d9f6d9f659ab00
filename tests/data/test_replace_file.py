from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event

import pytest

from data.map_processes import map_processes
from data.replace_file import replace_file

Names = Callable[[], list[str]]
SIZE_BYTES = 200_000
WHOLE = [letter * SIZE_BYTES for letter in (b"a", b"b", b"c", b"d")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that holds "old", alone in its folder."""
    file = tmp_path / "folder" / "file.txt"
    file.parent.mkdir()
    file.write_bytes(b"old")
    return file


@pytest.fixture
def names(path: Path) -> Names:
    """Lists the file's folder."""
    return lambda: sorted(one.name for one in path.parent.iterdir())


@contextmanager
def full_disk() -> Iterator[None]:
    """Lets no file grow beyond 4096 bytes: not pytest's own either, so for the one call alone."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    ("content", "stored"),
    [
        ("Maße\n", b"Ma\xc3\x9fe\n"),
        # Line ends are content.
        ("one\r\ntwo\rthree\n", b"one\r\ntwo\rthree\n"),
        (b"\x89PNG\r\n\x00", b"\x89PNG\r\n\x00"),
        ("", b""),
    ],
)
def test_the_file_holds_the_content(path: Path, names: Names, content: str | bytes, stored: bytes) -> None:
    replace_file(path, content)
    assert path.read_bytes() == stored
    replace_file(path.with_name("new"), content)
    assert path.with_name("new").read_bytes() == stored
    assert names() == ["file.txt", "new"]


def test_the_mode_is_that_of_any_new_file(path: Path) -> None:
    before = os.umask(0o027)
    try:
        replace_file(path, "new")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640


def test_the_longest_name_that_a_file_may_have_will_do(path: Path) -> None:
    longest = path.with_name("n" * 255)
    replace_file(longest, "new")
    assert longest.read_text() == "new"


def test_failing_in_the_midst_of_writing_leaves_the_old_content_alone(path: Path, names: Names) -> None:
    with pytest.raises(OSError, match="too large"), full_disk():
        replace_file(path, b"n" * SIZE_BYTES)
    assert path.read_bytes() == b"old"
    assert names() == ["file.txt"]


def test_text_that_utf8_has_not_leaves_the_old_content_alone(path: Path, names: Names) -> None:
    with pytest.raises(UnicodeEncodeError):
        replace_file(path, "new \ud800")
    assert path.read_bytes() == b"old"
    assert names() == ["file.txt"]


@pytest.mark.parametrize("error", [OSError("no"), KeyboardInterrupt()])
def test_failing_to_rename_leaves_the_old_content_alone(
    path: Path, names: Names, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fail)
        with pytest.raises(type(error)):
            replace_file(path, "new")
    assert path.read_bytes() == b"old"
    assert names() == ["file.txt"]


def test_a_folder_is_not_replaced(path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        replace_file(path.parent, "new")
    assert [one.name for one in path.parent.parent.iterdir()] == ["folder"]
    assert path.read_bytes() == b"old"


def test_folders_are_not_made(path: Path, names: Names) -> None:
    with pytest.raises(FileNotFoundError):
        replace_file(path.parent / "absent" / "file.txt", "new")
    assert names() == ["file.txt"]


def test_threads_that_write_at_once_leave_one_whole_content(path: Path, names: Names) -> None:
    path.write_bytes(WHOLE[0])
    done = Event()

    def read() -> None:
        while not done.is_set():
            assert path.read_bytes() in WHOLE

    with ThreadPoolExecutor(5) as pool:
        reading = pool.submit(read)
        try:
            list(pool.map(partial(replace_file, path), WHOLE * 25))
        finally:
            done.set()
        reading.result()
    assert path.read_bytes() in WHOLE
    assert names() == ["file.txt"]


def test_processes_that_write_at_once_leave_one_whole_content(path: Path, names: Names) -> None:
    map_processes(partial(replace_file, path), WHOLE * 50, "write", 2)
    assert path.read_bytes() in WHOLE
    assert names() == ["file.txt"]
