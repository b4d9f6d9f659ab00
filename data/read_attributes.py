"""Image-level attributes, by which evaluation can be sliced: weather, camera, city, ..."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from data.config import DataConfig
from data.errors import Problem
from data.open_files import is_safe_below, join_path, read_bytes
from data.pairs import Listing

ID_COLUMN = "image_id"
_SHOWN_IDS = 5


@dataclass(frozen=True)
class Attributes:
    """Attributes of all images.

    Attributes:
        columns: the attributes' names, in the file's order; those that the layout tells come last.
        by_image: image id -> attribute -> value. Every image has every attribute.
        problems: what is wrong with the file.
    """

    columns: tuple[str, ...] = ()
    by_image: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def read_attributes(config: DataConfig, listing: Listing) -> Attributes:
    """Reads the attributes' CSV, if the configuration names one, and adds what the layout tells."""
    by_image: dict[str, dict[str, str]] = {pair.image_id: {} for pair in listing.pairs}
    columns: list[str] = []
    problems: list[Problem] = []
    if config.attributes is not None:
        columns = _read_csv(config, by_image, problems)
    for pair in listing.pairs:
        for name, value in pair.attributes:
            by_image[pair.image_id].setdefault(name, value)
            if name not in columns:
                columns.append(name)
    return Attributes(tuple(columns), by_image, tuple(sorted(problems)))


def _read_csv(config: DataConfig, by_image: dict[str, dict[str, str]], problems: list[Problem]) -> list[str]:
    """Fills ``by_image`` from the file and returns the attributes' names."""
    assert config.attributes is not None
    if not is_safe_below(config.attributes):
        what = f"{config.attributes!r} leads out of data.root"
        problems.append(Problem("data.attributes", what, "Name a CSV below data.root", "escaping_path"))
        return []
    path = join_path(config.root, config.attributes)
    try:
        rows = list(csv.reader(io.StringIO(read_bytes(path).decode("utf-8-sig"))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        what = f"cannot be read as a CSV ({error})"
        remedy = "Write it as UTF-8 CSV, or take data.attributes out of the configuration"
        problems.append(Problem(path, what, remedy, "unreadable_file"))
        return []
    header = [name.strip() for name in rows[0]] if rows else []
    if problem := _check_header(path, header):
        problems.append(problem)
        return []
    id_position = header.index(ID_COLUMN)
    columns = [name for name in header if name != ID_COLUMN]
    seen: set[str] = set()
    for number, row in enumerate(rows[1:], start=2):
        if any(cell.strip() for cell in row):
            _take_row(f"{path}, line {number}", header, row, id_position, (by_image, seen), problems)
    _refuse_absent(path, list(by_image), seen, problems)
    for values in by_image.values():
        for name in columns:
            values.setdefault(name, "")
    return columns


def _check_header(path: str, header: Sequence[str]) -> Problem | None:
    if ID_COLUMN not in header:
        what = f"has no column {ID_COLUMN!r}; its first line is {','.join(header)!r}"
        return Problem(
            path, what, f"Start it with a header line such as {ID_COLUMN},weather", "missing_column"
        )
    if len(set(header)) < len(header) or not all(header):
        what = f"has empty or repeated column names in its first line {','.join(header)!r}"
        return Problem(path, what, "Give every column a name of its own", "missing_column")
    return None


def _take_row(
    where: str,
    header: Sequence[str],
    row: Sequence[str],
    id_position: int,
    taken: tuple[dict[str, dict[str, str]], set[str]],
    problems: list[Problem],
) -> None:
    by_image, seen = taken
    if len(row) != len(header):
        what = f"has {len(row)} cells and the first line has {len(header)}"
        problems.append(Problem(where, what, "Give every line a cell for each column", "malformed_row"))
        return
    image_id = row[id_position].strip()
    if image_id not in by_image:
        what = f"names the image {image_id!r}, which is not in the data set"
        remedy = "Write the image's path below the images' folder without its ending, or take the line away"
        problems.append(Problem(where, what, remedy, "unknown_image_id"))
    elif image_id in seen:
        what = f"names the image {image_id!r} a second time"
        problems.append(Problem(where, what, "Keep one line an image", "duplicate_id"))
    else:
        seen.add(image_id)
        for name, value in zip(header, row, strict=True):
            if name != ID_COLUMN:
                by_image[image_id][name] = value.strip()


def _refuse_absent(path: str, image_ids: list[str], seen: set[str], problems: list[Problem]) -> None:
    absent = [image_id for image_id in image_ids if image_id not in seen]
    if absent:
        shown = ", ".join(absent[:_SHOWN_IDS])
        if len(absent) > _SHOWN_IDS:
            shown += f" and {len(absent) - _SHOWN_IDS} more"
        what = f"has no line for {len(absent)} of {len(image_ids)} images: {shown}"
        problems.append(Problem(path, what, "Add the lines; cells may be empty", "missing_attributes"))
