"""Reading the class names that many data sets bring with them in some text file."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass

from data.open_files import FileTree, read_bytes
from data.parse_json import parse_json

CLASS_FILES = (
    "label_colors.txt",
    "label_colours.txt",
    "class_dict.csv",
    "classes.csv",
    "classes.txt",
    "class_names.txt",
    "labelmap.txt",
    "label_map.txt",
    "labels.txt",
    "label_names.txt",
    "codes.txt",
    "classes.json",
    "labels.json",
)
VOID_NAMES = frozenset(
    {"void", "ignore", "ignored", "unlabel", "unlabeled", "unlabelled", "dont care", "don't care"}
)
_HEADER_WORDS = frozenset({"name", "class", "class_name", "label", "id", "index", "value"}) | frozenset(
    {"r", "g", "b", "red", "green", "blue", "color", "colour", "rgb", "parts", "actions"}
)
_DEEPEST = 2
_LONGEST_LINE, _MOST_LINES = 300, 10_000
"""What is longer lists no classes, and takes the patterns too long to say so."""
_NUMBER, _GAP = r"([0-9]{1,5})", r"[\s,;]+"
_PATTERNS: tuple[tuple[str, str], ...] = (
    # Each: a line's form, and what its groups are: v value, n name, r g b colour.
    (rf"{_NUMBER}{_GAP}(.*\D.*?){_GAP}{_NUMBER}{_GAP}{_NUMBER}{_GAP}{_NUMBER}", "vnrgb"),
    (rf"([^:]+):{_NUMBER},{_NUMBER},{_NUMBER}:.*", "nrgb"),
    (rf"{_NUMBER}{_GAP}{_NUMBER}{_GAP}{_NUMBER}{_GAP}(.*\D.*)", "rgbn"),
    (rf"(.*\D.*?){_GAP}{_NUMBER}{_GAP}{_NUMBER}{_GAP}{_NUMBER}", "nrgb"),
    (rf"{_NUMBER}\s*[:,;\s]\s*(\S*[^\d\s]\S*.*)", "vn"),
    (rf"(.*\D.*?)\s*[:,;\t]\s*{_NUMBER}", "nv"),
    (r"(.+)", "n"),
)


@dataclass(frozen=True)
class NamedClass:
    """A class as a file names it.

    Attributes:
        name: its name.
        value: its value in masks; its place in the file if the file tells none.
        colour: its RGB colour, if the file tells it.
    """

    name: str
    value: int
    colour: tuple[int, int, int] | None

    @property
    def is_void(self) -> bool:
        """Says whether the name means that pixels belong to no class."""
        return self.name.lower().replace("_", " ") in VOID_NAMES


def find_class_names(tree: FileTree) -> tuple[str, tuple[NamedClass, ...]] | None:
    """Returns the first class file's path below the root, and its classes; None if there is none."""
    near = [path for path in tree.files if path.count("/") <= _DEEPEST]
    by_name = {posixpath.basename(path).lower(): path for path in sorted(near, key=_depth, reverse=True)}
    for name in CLASS_FILES:
        if name in by_name:
            try:
                text = read_bytes(tree.path(by_name[name])).decode("utf-8-sig")
            except (OSError, UnicodeDecodeError):
                continue
            if classes := parse_class_names(text, is_json=name.endswith(".json")):
                return by_name[name], classes
    return None


def _depth(path: str) -> int:
    return path.count("/")


def parse_class_names(text: str, is_json: bool = False) -> tuple[NamedClass, ...]:
    """Reads a class file: a class a line, with or without value and colour, in any of the usual orders.

    Returns:
        The classes in the order of their values; nothing if names or values repeat or no form fits.
    """
    if is_json:
        classes = _parse_json(text)
    else:
        lines = [line.strip() for line in text.splitlines()]
        classes = _parse_lines([line for line in lines if line and not line.startswith("#")])
    names, values = [entry.name for entry in classes], [entry.value for entry in classes]
    if len(set(names)) < len(names) or len(set(values)) < len(values):
        return ()
    return tuple(sorted(classes, key=lambda entry: entry.value))


def _parse_lines(lines: Sequence[str]) -> list[NamedClass]:
    if len(lines) > _MOST_LINES or any(len(line) > _LONGEST_LINE for line in lines):
        return []
    if lines and {word for word in re.split(r"[\s,;:]+", lines[0].lower()) if word} <= _HEADER_WORDS:
        lines = lines[1:]
    for pattern, groups in _PATTERNS:
        matches = [re.fullmatch(pattern, line) for line in lines]
        if lines and all(matches):
            return [
                _to_class(dict(zip_groups(groups, match)), position)
                for position, match in enumerate(matches)
                if match is not None
            ]
    return []


def zip_groups(groups: str, match: re.Match[str]) -> list[tuple[str, str]]:
    """Returns (what it is, text) of every group of a match."""
    return list(zip(groups, match.groups(), strict=True))


def _to_class(parts: dict[str, str], position: int) -> NamedClass:
    colour = None
    if "r" in parts:
        red, green, blue = (min(255, int(parts[channel])) for channel in "rgb")
        colour = (red, green, blue)
    return NamedClass(parts["n"].strip().strip("\"'"), int(parts.get("v", position)), colour)


def _parse_json(text: str) -> list[NamedClass]:
    """Takes a list of names, or a mapping from values to names or from names to values."""
    try:
        document = parse_json(text)
    except ValueError:
        return []
    if isinstance(document, list):
        items = list(enumerate(document))
    elif isinstance(document, dict):
        items = [(key, name) if _is_number(key) else (name, key) for key, name in document.items()]
    else:
        return []
    if not all(_is_number(value) and isinstance(name, str) for value, name in items):
        return []
    return [NamedClass(name, int(value), None) for value, name in items]


def _is_number(value: object) -> bool:
    return re.fullmatch(r"[0-9]{1,5}", str(value)) is not None
