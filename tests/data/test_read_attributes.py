from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from data.config import DataConfig
from data.list_pairs import list_pairs
from data.read_attributes import Attributes, read_attributes

Make = Callable[..., DataConfig]


@pytest.fixture
def read(tmp_path: Path, make_config: Make, fill_folder: Callable[..., Path]) -> Callable[[str], Attributes]:
    """Reads a CSV of this text beside three images: a and b in train, c in val."""
    fill_folder(tmp_path, ["train/a", "train/b", "val/c"])

    def run(text: str) -> Attributes:
        (tmp_path / "facts.csv").write_text(text, encoding="utf-8")
        config = make_config(tmp_path, attributes="facts.csv")
        return read_attributes(config, list_pairs(config))

    return run


def test_columns_and_values(read: Callable[[str], Attributes]) -> None:
    found = read('\ufeffweather,image_id,place\n"rain, snow", a ,x\n,b,y\nsun,c,x\n\n')
    assert found.columns == ("weather", "place") and not found.problems
    assert found.by_image == {
        "a": {"weather": "rain, snow", "place": "x"},
        "b": {"weather": "", "place": "y"},
        "c": {"weather": "sun", "place": "x"},
    }


def test_every_problem_of_the_rows(read: Callable[[str], Attributes], tmp_path: Path) -> None:
    found = read("image_id,weather\na,sun\na,rain\n../b,sun\nc\n")
    below = [(problem.code, problem.where.removeprefix(f"{tmp_path}/")) for problem in found.problems]
    assert below == [
        ("missing_attributes", "facts.csv"),
        ("duplicate_id", "facts.csv, line 3"),
        ("unknown_image_id", "facts.csv, line 4"),
        ("malformed_row", "facts.csv, line 5"),
    ]
    assert "2 of 3 images: b, c" in found.problems[0].what


@pytest.mark.parametrize("header", ["", "id,weather", "image_id,a,a", "image_id,"])
def test_bad_headers(read: Callable[[str], Attributes], header: str) -> None:
    (problem,) = read(f"{header}\na,b\n").problems
    assert problem.code == "missing_column"


def test_absent_and_escaping_files(
    read: Callable[[str], Attributes], tmp_path: Path, make_config: Make
) -> None:
    for name, code in (("none.csv", "unreadable_file"), ("../facts.csv", "escaping_path")):
        config = make_config(tmp_path, attributes=name)
        assert [problem.code for problem in read_attributes(config, list_pairs(config)).problems] == [code]


def test_what_the_layout_tells_is_added(
    tmp_path: Path, make_config: Make, read: Callable[[str], Attributes]
) -> None:
    read("image_id,weather\na,sun\nb,sun\nc,rain\n")
    config = make_config(tmp_path, attributes="facts.csv")
    listing = list_pairs(config)
    told = replace(
        listing, pairs=tuple(replace(pair, attributes=(("city", "bonn"),)) for pair in listing.pairs)
    )
    found = read_attributes(config, told)
    assert found.columns == ("weather", "city")
    assert found.by_image["c"] == {"weather": "rain", "city": "bonn"}
    assert read_attributes(make_config(tmp_path), listing) == Attributes((), {"a": {}, "b": {}, "c": {}})
