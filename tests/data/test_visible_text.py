from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.visible_text import make_visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, Straße, 道路 🚗\n\tnext", "plain, Straße, 道路 🚗\n\tnext"),
        ("\x1b[31mred\x1b]0;title\x07", r"\x1b[31mred\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("a\rb\x7f\0", r"a\x0db\x7f\x00"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("caf\udce9", r"caf\udce9"),
    ],
)
def test_what_would_act_is_written_out(text: str, shown: str) -> None:
    assert make_visible(text) == shown


@given(st.text(st.characters()))
def test_nothing_that_acts_is_left_and_nothing_else_is_changed(text: str) -> None:
    shown = make_visible(text, one_line=True)

    shown.encode()
    acting = ("Cc", "Cs", "Zl", "Zp")
    assert not [char for char in shown if unicodedata.category(char) in acting and char != "\t"]
    bidi = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    assert not [char for char in shown if unicodedata.bidirectional(char) in bidi]
    kept = [char for char in text if unicodedata.category(char) not in (*acting, "Cf")]
    assert all(char in shown for char in kept)
