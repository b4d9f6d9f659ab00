from __future__ import annotations

from pathlib import Path

import pytest

from data.open_files import list_files
from data.read_class_names import NamedClass, find_class_names, parse_class_names

ROAD, LANE = NamedClass("road", 0, (128, 64, 128)), NamedClass("lane mark", 1, (1, 2, 3))


@pytest.mark.parametrize(
    "text",
    [
        "128 64 128\troad\n1 2 3\t\tlane mark\n",
        "name,r,g,b\nroad,128,64,128\nlane mark,1,2,3\n",
        "# label:color_rgb:parts:actions\nroad:128,64,128::\nlane mark:1,2,3::\n",
        "id,name,r,g,b\n1,lane mark,1,2,3\n0,road,128,64,128\n",
        "road 128 64 128\r\nlane mark 1 2 3\r\n",
    ],
)
def test_names_with_colours(text: str) -> None:
    assert parse_class_names(text) == (ROAD, LANE)


@pytest.mark.parametrize(
    "text", ["7 road\n11: lane mark", "road,7\nlane mark,11", "id name\n11 lane mark\n7 road"]
)
def test_names_with_values(text: str) -> None:
    assert parse_class_names(text) == (NamedClass("road", 7, None), NamedClass("lane mark", 11, None))


def test_bare_names_and_digits_as_names() -> None:
    assert [entry.name for entry in parse_class_names("road\n\nlane mark\n")] == ["road", "lane mark"]
    assert [(entry.name, entry.value) for entry in parse_class_names("5\n6\n")] == [("5", 0), ("6", 1)]


def test_json_lists_and_mappings() -> None:
    expected = (NamedClass("road", 3, None), NamedClass("sky", 9, None))
    assert parse_class_names('{"9": "sky", "3": "road"}', is_json=True) == expected
    assert parse_class_names('{"sky": 9, "road": 3}', is_json=True) == expected
    assert [entry.value for entry in parse_class_names('["road", "sky"]', is_json=True)] == [0, 1]


@pytest.mark.parametrize("text", ["{", '{"a": "b"}', "[1, 2]", "3"])
def test_json_of_another_form_is_left_alone(text: str) -> None:
    assert parse_class_names(text, is_json=True) == ()


def test_repeated_names_or_values_make_a_file_useless() -> None:
    assert parse_class_names("road\nroad\n") == () and parse_class_names("1 road\n1 sky\n") == ()


def test_void_by_name() -> None:
    assert [entry.is_void for entry in parse_class_names("Void\nunlabelled\nDon't_care\nvoidable\n")] == [
        True,
        True,
        True,
        False,
    ]


def test_the_file_is_found_near_the_root_and_unreadable_ones_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta/classes.txt").write_text("road\nsky\n")
    (tmp_path / "label_colors.txt").write_bytes(b"\xff\xfe\x00broken")
    found = find_class_names(list_files(str(tmp_path)))
    assert found is not None
    assert found[0] == "meta/classes.txt" and [entry.name for entry in found[1]] == ["road", "sky"]
    assert find_class_names(list_files(str(tmp_path / "meta"))) is not None
    (tmp_path / "meta/classes.txt").unlink()
    assert find_class_names(list_files(str(tmp_path))) is None
