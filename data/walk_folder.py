"""Walking through the folders of this machine, whatever their owners put there."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from data.errors import Problem

_IGNORED_NAMES = frozenset({"thumbs.db", "desktop.ini", "__macosx"})
_BAD_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Control characters, bytes that are no UTF-8 (surrogates to Python), and ends of lines and paragraphs."""
_MOST_VISITS = 16
"""So many ways may lead to one folder: links among a dozen folders make millions of ways."""


@dataclass(frozen=True)
class Entry:
    """Something below a root.

    Attributes:
        kind: ``file`` is whatever is no folder: links that lead nowhere, pipes and devices among them.
        below: its path below the root.
        problem: why it is left out, of kind ``problem``.
    """

    kind: Literal["file", "folder", "hidden", "problem"]
    below: str
    problem: Problem | None = None


@dataclass(frozen=True)
class _Folder:
    path: str
    real_path: str
    prefix: str
    ancestors: tuple[str, ...]


def is_hidden(name: str) -> bool:
    """Says whether a file or folder is one that systems leave behind (.DS_Store, Thumbs.db, ...)."""
    return name.startswith(".") or name.lower() in _IGNORED_NAMES


def show_path(path: str) -> str:
    """Returns a path for people: on one line, with escapes for what no terminal should be sent."""
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in _BAD_CATEGORIES else char
        for char in path
    )


def find_bad_name(path: str, below: str) -> Problem | None:
    """Returns the problem of a name that cannot become an id in records and reports, or None.

    Args:
        path: the whole path, for the sentence.
        below: the part of it that is to become an id.
    """
    # The quick question first: it is asked of every name.
    if below.isprintable() or not any(unicodedata.category(char) in _BAD_CATEGORIES for char in below):
        return None
    is_utf8 = not any("\ud800" <= char <= "\udfff" for char in below)
    what = "its name has line ends or control characters" if is_utf8 else "its name is not UTF-8"
    return Problem(show_path(path), what, "Rename it: names become ids in records and reports", "bad_name")


def walk_folder(root: str) -> Iterator[Entry]:
    """Yields what lies below a folder, in no particular order; follows links that stay below it.

    Circles of links end, and no depth of folders is too much for it.

    Args:
        root: a real path, without links.
    """
    waiting = [_Folder(root, root, "", (root,))]
    visits: Counter[str] = Counter()
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder.path) as found:
                entries = list(found)
        except OSError as error:
            what = f"cannot be read ({error.strerror})"
            remedy = "Make the folder readable, or its path shorter"
            yield _refuse(folder.prefix, Problem(show_path(folder.path), what, remedy, "unreadable_file"))
            continue
        for entry in entries:
            yield from _visit(entry, folder, root, waiting, visits)


def _visit(
    entry: os.DirEntry[str], folder: _Folder, root: str, waiting: list[_Folder], visits: Counter[str]
) -> Iterator[Entry]:
    below = folder.prefix + entry.name
    if is_hidden(entry.name):
        yield Entry("hidden", below)
        return
    link_to = os.path.realpath(entry.path) if entry.is_symlink() else ""
    if link_to and not (link_to + "/").startswith(root.rstrip("/") + "/"):
        yield _refuse(below, _escaping_link(entry.path, link_to))
        return
    if not _is_folder(entry):
        yield Entry("file", below)
        return
    yield Entry("folder", below)
    real_path = link_to or f"{folder.real_path.rstrip('/')}/{entry.name}"
    if real_path in folder.ancestors:
        return
    visits[real_path] += 1
    if visits[real_path] <= _MOST_VISITS:
        waiting.append(_Folder(entry.path, real_path, below + "/", (*folder.ancestors, real_path)))
    elif visits[real_path] == _MOST_VISITS + 1:
        what = f"more than {_MOST_VISITS} ways lead here, by links to folders"
        remedy = "Take links to folders away"
        yield _refuse(below, Problem(show_path(real_path), what, remedy, "many_links"))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # A link to itself: whoever reads it is told so.


def _refuse(below: str, problem: Problem) -> Entry:
    return Entry("problem", below, problem)


def _escaping_link(path: str, target: str) -> Problem:
    what = f"is a link out of the data set, to {show_path(target)}"
    remedy = "Put the file itself here, or choose a data.root that holds both"
    return Problem(show_path(path), what, remedy, "escaping_link")
