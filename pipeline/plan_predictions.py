"""Which images to predict, and under which name each mask is written.

Names come from the images' paths below the folders that were given, so that a tree of images becomes a
tree of masks. No two outputs share a name, and no output is one of the images.
"""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from data.errors import Problem, RefusedError
from data.open_files import is_remote, join_path, list_files
from data.pairs import IMAGE_ENDINGS
from data.walk_folder import is_hidden

LINES_FILE = "predictions.jsonl"
_OVERLAY_ENDING = ".overlay.png"


@dataclass(frozen=True)
class PlannedImage:
    """An image, and where its outputs go.

    Attributes:
        image: its path, as it was given or found.
        mask: below the output folder.
        overlay: below the output folder.
    """

    image: str
    mask: PurePosixPath
    overlay: PurePosixPath


@dataclass(frozen=True)
class PredictionPlan:
    """All images in order, and what was passed over."""

    images: tuple[PlannedImage, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Found:
    """An image and what its mask's name is made of."""

    image: str
    below: PurePosixPath
    root: str | None = None
    """The folder, or the fixed part of the pattern, that it was found below; None for a single file."""


def plan_predictions(arguments: Sequence[str], out: Path, overwrite: bool) -> PredictionPlan:
    """Finds the images and gives every output its name.

    Args:
        arguments: files, folders (searched with all below them) and patterns (``**`` for any folders).
        out: the output folder; images in it are passed over where a folder or pattern finds them.
        overwrite: whether outputs may replace files.

    Raises:
        RefusedError: if an argument names nothing, an output is there already and ``overwrite`` is False,
            or an output would replace one of the images.
    """
    found: list[_Found] = []
    problems: list[Problem] = []
    notes: list[str] = []
    for argument in arguments:
        try:
            found.extend(_find_images(argument, out, notes))
        except RefusedError as error:
            problems.extend(error.problems)
    if problems:
        raise RefusedError(problems)
    images = tuple(_name_outputs(_place_side_by_side(_drop_repeated(found))))
    _refuse_overwriting(images, out, overwrite)
    return PredictionPlan(images, tuple(notes))


def _find_images(argument: str, out: Path, notes: list[str]) -> list[_Found]:
    if is_remote(argument) and PurePosixPath(argument).suffix.lower() in IMAGE_ENDINGS:
        return [_Found(argument, PurePosixPath(PurePosixPath(argument).name))]
    path = Path(argument)
    if not is_remote(argument) and path.is_file():
        return [_Found(argument, PurePosixPath(path.name))]
    if is_remote(argument) or path.is_dir():
        root, files = argument.rstrip("/") or "/", _list_folder(argument, notes)
    elif glob.has_magic(argument):
        root, files = _expand_pattern(argument)
    else:
        raise _refuse(argument, "there is no such file or folder", "Check the path", "missing_file")
    images = [file for file in files if PurePosixPath(file).suffix.lower() in IMAGE_ENDINGS]
    if others := len(files) - len(images):
        notes.append(f"{argument}: {others} files are neither .png nor .jpg and were passed over")
    kept = [_Found(join_path(root, file), PurePosixPath(file), root) for file in images]
    if not is_remote(argument):
        own = out.resolve()
        kept = [one for one in kept if not Path(one.image).resolve().is_relative_to(own)]
    if not kept:
        what = "holds no image (.png, .jpg or .jpeg)" if path.is_dir() else "matches no image"
        raise _refuse(argument, what, "Name files, or a folder with images in it or below it", "no_images")
    return kept


def _list_folder(folder: str, notes: list[str]) -> list[str]:
    tree = list_files(folder)
    notes.extend(f"{problem.where}: {problem.what}; passed over" for problem in tree.problems)
    return list(tree.files)


def _expand_pattern(pattern: str) -> tuple[str, list[str]]:
    """Returns the folder that the pattern's fixed beginning names, and the files below it that match."""
    fixed: list[str] = []
    for part in Path(pattern).parts:
        if glob.has_magic(part):
            break
        fixed.append(part)
    root = str(Path(*fixed)) if fixed else "."
    # pathlib's ** finds folders only.
    matches = (path for path in glob.iglob(pattern, recursive=True) if Path(path).is_file())  # noqa: PTH207
    below = sorted(Path(os.path.relpath(path, root)).as_posix() for path in matches)
    return root, [path for path in below if not any(is_hidden(part) for part in path.split("/"))]


def _drop_repeated(found: Sequence[_Found]) -> list[_Found]:
    """Returns each image once, as it was found first."""
    unique: dict[str, _Found] = {}
    for one in found:
        unique.setdefault(one.image if is_remote(one.image) else os.path.realpath(one.image), one)
    return list(unique.values())


def _place_side_by_side(found: Sequence[_Found]) -> list[_Found]:
    """Keeps apart what comes from several places, as ``cp -r`` does: by the folders' own names.

    Single files of the same name keep what their paths do not have in common.
    """
    roots = {one.root for one in found if one.root is not None}
    files = [one for one in found if one.root is None and not is_remote(one.image)]
    names = Counter(one.below.name.casefold() for one in files)
    shared = (
        os.path.commonpath([os.path.realpath(Path(one.image).parent) for one in files])
        if max(names.values(), default=0) > 1
        else None
    )
    placed = []
    for one in found:
        below = one.below
        if one.root is not None and len(roots) > 1:
            below = PurePosixPath(_own_name(one.root)) / below
        elif shared is not None and one.root is None and not is_remote(one.image):
            folder = os.path.realpath(Path(one.image).parent)
            below = PurePosixPath(Path(os.path.relpath(folder, shared)).as_posix()) / below
        placed.append(_Found(one.image, below, one.root))
    return placed


def _own_name(root: str) -> str:
    name = PurePosixPath(root).name if is_remote(root) else Path(root).resolve().name
    return name or "root"


def _name_outputs(found: Sequence[_Found]) -> Iterator[PlannedImage]:
    """Yields every image with names that no other has, on file systems that ignore case too.

    ``a.png`` and ``a.jpg`` of one folder become ``a.png.png`` and ``a.jpg.png``; what even so is alike is
    numbered.
    """
    alike = Counter(str(one.below.with_suffix("")).casefold() for one in found)
    stems = [
        str(one.below.with_suffix(""))
        if alike[str(one.below.with_suffix("")).casefold()] == 1
        else str(one.below)
        for one in found
    ]
    # First those whose name is the usual one, wherever they stand.
    order = sorted(range(len(found)), key=lambda index: stems[index] == str(found[index].below))
    taken: set[str] = set()
    for index in order:
        stem, number = stems[index], 1
        while {f"{stem}.png".casefold(), f"{stem}{_OVERLAY_ENDING}".casefold()} & taken:
            number += 1
            stem = f"{stems[index]}-{number}"
        stems[index] = stem
        taken |= {f"{stem}.png".casefold(), f"{stem}{_OVERLAY_ENDING}".casefold()}
    for one, stem in zip(found, stems, strict=True):
        yield PlannedImage(one.image, PurePosixPath(f"{stem}.png"), PurePosixPath(f"{stem}{_OVERLAY_ENDING}"))


def _refuse_overwriting(images: Sequence[PlannedImage], out: Path, overwrite: bool) -> None:
    names = [out / LINES_FILE, *(out / name for one in images for name in (one.mask, one.overlay))]
    present = [path for path in names if path.exists()]
    sources = {os.path.realpath(one.image) for one in images if not is_remote(one.image)}
    if replaced := [path for path in present if os.path.realpath(path) in sources]:
        what = "is one of the images, and a mask would take its place"
        raise _refuse(str(replaced[0]), what, "Choose another folder with --out", "overwrites_image")
    if present and not overwrite:
        others = f" (and {len(present) - 1} more)" if len(present) > 1 else ""
        what = f"is there already{others}"
        raise _refuse(
            str(present[0]),
            what,
            "Choose another folder with --out, or add --force to replace",
            "file_exists",
        )


def _refuse(where: str, what: str, remedy: str, code: str) -> RefusedError:
    return RefusedError([Problem(where, what, remedy, code)])
