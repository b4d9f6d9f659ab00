from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.errors import RefusedError
from data.open_files import exists, is_safe_below, list_files, read_bytes


def test_files_are_listed_below_the_root_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("b.png", "x/y/a.png", ".DS_Store", "x/Thumbs.db", ".git/config", "__MACOSX/a.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    (tmp_path / "empty").mkdir()
    tree = list_files(f"{tmp_path}/")
    assert tree.files == ("b.png", "x/y/a.png") and tree.folders == {"x", "x/y", "empty"}
    assert read_bytes(tree.path("x/y/a.png")) == b"x/y/a.png"
    assert exists(tree.path("b.png")) and not exists(tree.path("c.png"))


def test_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, said in ((tmp_path / "nothing", "no such folder"), (tmp_path / "file", "a file, not a folder")):
        with pytest.raises(RefusedError, match=said):
            list_files(str(path))


def test_links_inside_are_followed_and_links_outside_refused(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "real").mkdir(parents=True)
    outside.mkdir()
    (root / "real/a.png").touch()
    (outside / "secret.png").touch()
    (root / "again").symlink_to(root / "real")
    (root / "b.png").symlink_to("real/a.png")
    (root / "away").symlink_to(outside)
    (root / "c.png").symlink_to("../outside/secret.png")
    (root / "rooted").symlink_to(tmp_path / "root-other")
    tree = list_files(str(root))
    assert tree.files == ("again/a.png", "b.png", "real/a.png")
    assert [Path(problem.where).name for problem in tree.problems] == ["away", "c.png", "rooted"]
    assert {problem.code for problem in tree.problems} == {"escaping_link"}


def test_names_that_are_no_utf8_are_problems(tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/caf\xe9.png", "wb"):  # noqa: PTH123 - bytes have no Path
        pass
    (tmp_path / "café.png").touch()
    tree = list_files(str(tmp_path))
    assert tree.files == ("café.png",)
    assert [(problem.where, problem.code) for problem in tree.problems] == [
        (f"{tmp_path}/caf\\udce9.png", "bad_name")
    ]


def test_a_circle_of_links_ends(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a.png").touch()
    (tmp_path / "sub/up").symlink_to(tmp_path)
    (tmp_path / "sub/self").symlink_to(tmp_path / "sub")
    assert "sub/a.png" in list_files(str(tmp_path)).files


def test_a_root_that_is_a_link_is_fine(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a.png").touch()
    (tmp_path / "link").symlink_to("real")
    tree = list_files(str(tmp_path / "link"))
    assert tree.files == ("a.png",) and tree.path("a.png") == f"{tmp_path}/link/a.png"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_an_unreadable_folder_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0)
    (problem,) = list_files(str(tmp_path)).problems
    assert problem.code == "unreadable_file" and problem.where.endswith("locked")


@pytest.mark.parametrize(
    "path", ["", "/etc", "..", "a/../../b", "~/x", "gs://b/x", "\\x", "a\\..\\..\\b", "a\0"]
)
def test_paths_that_escape(path: str) -> None:
    assert not is_safe_below(path)


@pytest.mark.parametrize("path", ["a", "a/b.png", "..a/b", "a..b"])
def test_paths_that_stay(path: str) -> None:
    assert is_safe_below(path)


@pytest.mark.slow
def test_remote_files_are_listed_and_read_through_beam() -> None:
    from apache_beam.io.filesystem import CompressionTypes, FileMetadata, FileSystem

    stored = {
        "memory://bucket/set/images/a.png": b"pixels",
        "memory://bucket/set/images/b.txt.gz": b"not unpacked",
        "memory://bucket/set/.hidden/c.png": b"",
        "memory://bucket/other/d.png": b"",
    }

    class MemoryFileSystem(FileSystem):  # type: ignore[misc]
        """What an object store is to Beam, in a dictionary."""

        def _absent(self, *_: object, **__: object) -> None:
            raise NotImplementedError

        join = split = mkdirs = create = copy = rename = delete = _absent
        size = last_updated = checksum = metadata = _absent

        @classmethod
        def scheme(cls) -> str:
            return "memory"

        def has_dirs(self) -> bool:
            return False

        def _list(self, folder: str) -> Iterator[FileMetadata]:
            return (FileMetadata(path, 1) for path in stored if path.startswith(folder))

        def open(self, path: str, mime_type: str = "", compression_type: str = "") -> io.BytesIO:
            assert compression_type == CompressionTypes.UNCOMPRESSED
            if path not in stored:
                raise OSError(f"{path} is not there")
            return io.BytesIO(stored[path])

        def exists(self, path: str) -> bool:
            return path in stored

    MemoryFileSystem.__abstractmethods__ = frozenset()
    tree = list_files("memory://bucket/set/")
    assert tree.files == ("images/a.png", "images/b.txt.gz") and tree.folders == {"images"}
    assert read_bytes(tree.path("images/b.txt.gz")) == b"not unpacked"
    assert exists(tree.path("images/a.png")) and not exists(tree.path("images/z.png"))
    with pytest.raises(OSError, match="not there"):
        read_bytes(tree.path("images/z.png"))
    with pytest.raises(RefusedError, match="no file below it"):
        list_files("memory://bucket/nothing")


@pytest.mark.slow
def test_an_unknown_scheme_is_refused_with_what_to_install() -> None:
    with pytest.raises(RefusedError, match=r"nosuch:// paths.*Beam's extra"):
        read_bytes("nosuch://bucket/a.png")
