"""Text of others on the way to a terminal or a page: what would act there is shown instead."""

from __future__ import annotations

import re

_ACTING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # Controls but for tab and line feed: colours, cursor, window title, bell.
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # Writing direction: what is read is not what is there.
    "\u2028\u2029"  # Line and paragraph ends.
    "\ud800-\udfff]"  # Bytes of names that are no UTF-8, which no stream takes.
)


def make_visible(text: str, one_line: bool = False) -> str:
    r"""Returns a text with its control and direction characters written out: ``\x1b``, ``\u202e``.

    Args:
        text: of a file, a name, or an error message.
        one_line: write line feeds out, too, so that a name cannot end a line and forge the next.
    """
    if one_line:
        text = text.replace("\n", "\\n")
    return text if text.isprintable() else _ACTING.sub(_write_out, text)


def _write_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
