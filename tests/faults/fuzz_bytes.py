"""Changes to bytes, as disks, networks and people make them."""

from __future__ import annotations

from hypothesis import strategies as st

_WORDS = (b"\0", b"\xff", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\x80")


def mutate(
    whole: st.SearchStrategy[bytes], words: tuple[bytes, ...] = _WORDS, most: int = 4
) -> st.SearchStrategy[bytes]:
    """Bytes of ``whole`` with up to ``most`` places replaced, put in, taken out or cut off."""

    @st.composite
    def change(draw: st.DrawFn) -> bytes:
        content = draw(whole)
        for _ in range(draw(st.integers(1, most))):
            at = draw(st.integers(0, len(content)))
            to = min(len(content), at + draw(st.integers(0, 12)))
            word = draw(st.one_of(st.sampled_from(words), st.binary(max_size=4)))
            kind = draw(st.sampled_from(("replace", "insert", "delete", "cut", "repeat")))
            content = {
                "replace": content[:at] + word + content[at + len(word) :],
                "insert": content[:at] + word + content[at:],
                "delete": content[:at] + content[to:],
                "cut": content[:at],
                "repeat": content[:to] + content[at:to] * 3 + content[to:],
            }[kind]
        return content

    return change()
