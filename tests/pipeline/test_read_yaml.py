"""YAML of anybody: plain values, or a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.errors import RefusedError
from pipeline.config import load_config
from pipeline.read_yaml import YamlError, parse_documents, parse_yaml

LAUGHS = "a0: &a0 [lol, lol]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60))


def test_plain_values_are_what_they_look_like() -> None:
    text = "a: 1\nb: [1e-4, -2.5, true, null, x, '1']\nc: {d: 0x1F, e: 2024-01-02}\n1: &unused one\n"

    tree = parse_yaml(text)

    assert tree["a"] == 1 and tree["b"] == [0.0001, -2.5, True, None, "x", "1"]
    assert tree["c"]["d"] == 31 and str(tree["c"]["e"]) == "2024-01-02" and tree[1] == "one"
    assert parse_documents("a: 1\n---\nb: 2\n") == [{"a": 1}, {"b": 2}]
    assert parse_yaml("") is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (LAUGHS, "uses an alias"),
        ("a: &a [*a]", "uses an alias"),
        ("a: 1\nb: 2\na: 3", "says the key 'a' twice"),
        ("{1: a, '1': b}", "says the key '1' twice"),
        ("x: {a: 1, a: 1}", "says the key 'a' twice"),
        ("<<: {a: 1}", "could not determine a constructor"),
        ("? [1]\n: 2", "key that is no text"),
        ("2024-01-02: 2", "key that is no text"),
        ("[" * 10_000, "more than 50 levels"),
        ("- " * 10_000 + "x", "more than 50 levels"),
        ("a: " + "1" * 5000, "too many digits"),
        ("a: " + ":".join("1" * 500), "too many digits"),
        ("a: 36893488147419103232", "beyond 64 bits"),
        ("a: 0b_", "not what its tag says"),
        ("a: 2024-13-41", "not what its tag says"),
        ("a: !!int ''", "not what its tag says"),
        ("a: !!bool maybe", "not what its tag says"),
        ("a: !!timestamp now", "not what its tag says"),
        ('a: "x\\0y"', "has a NUL"),
        ('a: "\\UFFFFFFFF"', "not what its tag says"),
        ("a: !!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("a: !!python/name:os.system", "could not determine a constructor"),
        ("a: !include /etc/passwd", "could not determine a constructor"),
        ("a: 1\n---\nb: 2", "more than one document"),
        ("a: [1", "expected"),
    ],
    ids=lambda text: text[:20].encode("unicode_escape").decode(),
)
def test_what_would_hang_or_deceive_is_refused(text: str, says: str) -> None:
    with pytest.raises(YamlError, match=says) as caught:
        parse_yaml(text)

    assert "\n" not in str(caught.value)


def test_an_endless_configuration_is_not_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "endless.yaml").symlink_to("/dev/zero")

    with pytest.raises(RefusedError, match="is larger than 1 MB"):
        load_config(tmp_path / "endless.yaml")


def test_a_root_that_leads_to_itself_is_a_missing_folder(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "my.yaml").write_text(
        "name: a\ndata: {root: loop, classes: [{id: 0, name: a}, {id: 1, name: b}]}\n"
        "transform: {height_px: 32, width_px: 32}\n"
    )

    assert load_config(tmp_path / "my.yaml").data.root == str(tmp_path / "loop")


@pytest.mark.parametrize("override", ["data.classes.\u00b2.name=x", ".".join("a" * 50) + "=1"])
def test_an_override_of_no_key_is_refused(tmp_path: Path, override: str) -> None:
    (tmp_path / "my.yaml").write_text("name: a\ndata: {classes: [{id: 0, name: a}]}\n")

    with pytest.raises(RefusedError):
        load_config(tmp_path / "my.yaml", [override])
