"""A metadata store that keeps long texts in PostgreSQL.

MLMD indexes every text property there, and an entry of such an index holds some 2,700 bytes at most: a
component's configuration, a traceback or our list of source files would be refused. So longer texts are
written in parts, the first under the property's own name, and put together again when they are read.
Other programs see the parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb

PART_BYTES = 2000
_PART_PREFIX = "deconvflow_part/"
_NODES = (pb.Artifact, pb.Execution, pb.Context)
_KINDS = ("properties", "custom_properties")


class LongTextStore(MetadataStore):
    """Splits the texts of what is written, and joins those of what is read."""

    def _call_method(self, method_name: str, request: Any, response: Any) -> None:
        # The request is the client's own copy, and splitting it once more changes nothing.
        for node in _find_nodes(request):
            split_texts(node)
        super()._call_method(method_name, request, response)
        for node in _find_nodes(response):
            join_texts(node)


def split_texts(node: Any) -> None:
    """Leaves the first part of each long text of an artifact, execution or context where it is."""
    for kind in _KINDS:
        properties = getattr(node, kind)
        long = {key: value.string_value for key, value in properties.items() if _is_long(value)}
        for key, text in long.items():
            first, *others = _cut(text)
            properties[key].string_value = first
            for number, part in enumerate(others):
                node.custom_properties[f"{_PART_PREFIX}{kind}/{number:06d}/{key}"].string_value = part


def join_texts(node: Any) -> None:
    """Undoes ``split_texts``."""
    parts = sorted(key for key in node.custom_properties if key.startswith(_PART_PREFIX))
    for name in parts:
        kind, _, key = name.removeprefix(_PART_PREFIX).split("/", 2)
        getattr(node, kind)[key].string_value += node.custom_properties[name].string_value
        del node.custom_properties[name]


def _find_nodes(message: Any) -> Iterator[Any]:
    """Yields the artifacts, executions and contexts of a request or a response."""
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        # A repeated field's value is a list of messages, and a single message has fields.
        for child in [value] if hasattr(value, "ListFields") else value:
            if isinstance(child, _NODES):
                yield child
            else:
                yield from _find_nodes(child)


def _is_long(value: pb.Value) -> bool:
    # Four bytes a character at most: most texts need not be encoded.
    text = value.string_value
    return len(text) * 4 > PART_BYTES and len(text.encode()) > PART_BYTES


def _cut(text: str) -> list[str]:
    """Returns parts of at most ``PART_BYTES`` bytes of UTF-8 each, cut between characters."""
    encoded, parts, start = text.encode(), [], 0
    while start < len(encoded):
        end = min(start + PART_BYTES, len(encoded))
        while end < len(encoded) and encoded[end] & 0xC0 == 0x80:
            end -= 1
        parts.append(encoded[start:end].decode())
        start = end
    return parts
