"""Split lists: train.txt, val.txt and test.txt with an image a line."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterator

from data.assign_splits import SplitName
from data.errors import Problem
from data.layouts.match_files import split_ending, split_from_name
from data.open_files import FileTree, is_safe_below, read_bytes
from data.pairs import Found


def find_split_lists(tree: FileTree, folders: Collection[str]) -> dict[SplitName, str]:
    """Returns split -> path below the root of its list, from the first of the folders that has any."""
    for folder in folders:
        lists: dict[SplitName, str] = {}
        for path in tree.files:
            stem, ending = split_ending(posixpath.basename(path))
            split = split_from_name(stem)
            if ending == ".txt" and split is not None and posixpath.dirname(path) == folder:
                lists.setdefault(split, path)
        if lists:
            return lists
    return {}


def read_split_lists(
    tree: FileTree, lists: dict[SplitName, str], known_ids: Collection[str], prefix: str, found: Found
) -> dict[str, SplitName]:
    """Returns image id -> split; entries that name no image, escape or repeat become problems.

    Args:
        tree: the data set's files.
        lists: split -> path below the root.
        known_ids: ids of the images that exist.
        prefix: the images' folder, which entries may begin with.
        found: takes the problems and the declared splits.
    """
    split_of_id: dict[str, SplitName] = {}
    for split, below in lists.items():
        path = tree.path(below)
        found.declared_splits[split] = path
        for number, entry in _read_entries(path, found):
            where = f"{path}, line {number}"
            image_id = next((name for name in _possible_ids(entry, prefix) if name in known_ids), None)
            if image_id is None:
                found.problems.append(_unknown_entry(where, entry))
            elif image_id in split_of_id:
                what = f"lists {image_id!r}, which is in the list of {split_of_id[image_id]} already"
                remedy = "Keep each image in one list, once"
                found.problems.append(Problem(where, what, remedy, "duplicate_id"))
            else:
                split_of_id[image_id] = split
    return split_of_id


def _read_entries(path: str, found: Found) -> Iterator[tuple[int, str]]:
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        what = f"cannot be read as a list of images ({error})"
        remedy = "Write it as UTF-8 text, an image a line"
        found.problems.append(Problem(path, what, remedy, "unreadable_file"))
        return
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield number, line.strip()


def _possible_ids(entry: str, prefix: str) -> Iterator[str]:
    """Yields what an entry may mean: an id, a file name, or an image's path with its mask's behind it."""
    for text in (entry, entry.split()[0]):
        text = text.removeprefix("./")
        for name in (text, text.removeprefix(prefix + "/")):
            yield name
            yield split_ending(name)[0]


def _unknown_entry(where: str, entry: str) -> Problem:
    if not is_safe_below(entry.split()[0]):
        what = f"{entry!r} leads out of the data set"
        return Problem(where, what, "Name images by their path below the images' folder", "escaping_path")
    what = f"there is no image of the id {entry!r}"
    return Problem(where, what, "Add the image or take the line away", "listed_without_file")
