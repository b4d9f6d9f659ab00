"""Reads YAML from anybody: plain values only, and no more work than the text is long.

PyYAML's safe loader builds no objects, but a few nested aliases can stand for gigabytes, a key that is said
twice silently counts once, deep nesting and some malformed scalars raise what is no YAML error, and a number
of a million digits takes hours.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml

_MAX_DEPTH = 50
_MAX_NUMBER_CHARACTERS = 100
_BITS = 64
_MALFORMED = (ValueError, ArithmeticError, AttributeError, LookupError, TypeError, RecursionError)
"""What PyYAML 6 raises for ``!!int ''``, ``0b_``, ``!!timestamp x``, ``2020-13-41``, ``!!bool x``."""


class YamlError(ValueError):
    """A text that is refused; says where and why on one line."""


class _Loader(yaml.SafeLoader):
    """SafeLoader that takes no aliases, repeated keys or monstrous values, and 1e-4 for a number."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Builds one node of the tree, with all below it."""
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise _mark("uses an alias (*name): write the value out", event.start_mark)
        if self._depth == _MAX_DEPTH:
            raise _mark(f"is nested more than {_MAX_DEPTH} levels deep", event.start_mark)
        self._depth += 1
        try:
            node: yaml.Node | None = super().compose_node(parent, index)
        finally:
            self._depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Returns a mapping whose keys are scalars, each said once."""
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str | int | float | bool | None):
                raise _mark("has a key that is no text", key_node.start_mark)
            # As JSON, in which 1 and "1" are the same key.
            if str(key) in seen:
                raise _mark(f"says the key {str(key)[:80]!r} twice", key_node.start_mark)
            seen.add(str(key))
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return mapping

    def construct_text(self, node: yaml.ScalarNode) -> str:
        """Returns a text without NUL, which no path, process or database takes."""
        if "\0" in node.value:
            raise _mark("has a NUL character", node.start_mark)
        return str(self.construct_yaml_str(node))

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        """Returns a number of no more than 64 bits."""
        if len(node.value) > _MAX_NUMBER_CHARACTERS:
            raise _mark("has a number of too many digits", node.start_mark)
        is_int = node.tag.endswith(":int")
        value: int | float = self.construct_yaml_int(node) if is_int else self.construct_yaml_float(node)
        if isinstance(value, int) and value.bit_length() > _BITS:
            raise _mark("has a number beyond 64 bits", node.start_mark)
        return value


_Loader.add_constructor("tag:yaml.org,2002:str", _Loader.construct_text)
for _kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _Loader.construct_number)
# YAML 1.1 takes it for text.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def parse_yaml(text: str) -> Any:
    """Returns the one document of a YAML text.

    Raises:
        YamlError: it is not valid, or has an alias, a repeated key, or a value that is out of all bounds.
    """
    documents = parse_documents(text)
    if len(documents) > 1:
        raise YamlError("holds more than one document")
    return documents[0] if documents else None


def parse_documents(text: str) -> list[Any]:
    """Returns the documents of a YAML text.

    Raises:
        YamlError: see ``parse_yaml``.
    """
    try:
        return list(yaml.load_all(text, Loader=_Loader))
    except yaml.YAMLError as error:
        raise YamlError(" ".join(str(error).split())) from None
    except _MALFORMED as error:
        raise YamlError(f"a value is not what its tag says ({' '.join(str(error).split())[:200]})") from None


def _mark(what: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=what, problem_mark=mark)
