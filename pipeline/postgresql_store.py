"""A metadata store that works in PostgreSQL as in the other databases.

MLMD's client has three limits there, which ours goes around. It indexes every text property, and an entry of
such an index holds some 2,700 bytes at most: a component's configuration, a traceback or our list of source
files would be refused. And it misreads how libpq quotes a backslash, so that any text with one (a quotation
mark in JSON, say) ends in a syntax error. So long texts are written in parts, the first under the property's
own name, and backslashes as another character; both are undone when they are read. Other programs see what
is written. And answers come in whatever order the database has them, while TFX's cache takes for granted that
they come in the order of ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ml_metadata.proto import metadata_store_pb2 as pb
from ml_metadata.proto import metadata_store_service_pb2 as service_pb2

from pipeline.patient_store import PatientStore

PART_BYTES = 2000
_PART_PREFIX = "deconvflow_part/"
_ESCAPE = "\ue000"
"""The first character for private use: texts hardly have it, and those that do are none the worse."""
_NODES = (pb.Artifact, pb.Execution, pb.Context)
_KINDS = ("properties", "custom_properties")


class PostgreSQLStore(PatientStore):
    """Rewrites the texts of what is written, restores those of what is read, and sorts that."""

    def _call_method(self, method_name: str, request: Any, response: Any) -> None:
        # A copy: the client calls again with the same request where the database was busy.
        written = type(request)()
        written.CopyFrom(request)
        for node in _find_nodes(written):
            encode_texts(node)
        if getattr(request, "update_mask", None) is not None and request.update_mask.paths:
            self._widen_mask(method_name, written)
        super()._call_method(method_name, written, response)
        for node in _find_nodes(response):
            decode_texts(node)
        _sort_nodes(request, response)

    def _widen_mask(self, method_name: str, written: Any) -> None:
        """Makes a mask that names a text name its parts, too: new ones, and old ones that are to go."""
        if method_name != "PutContexts":
            raise NotImplementedError(f"{method_name} with a mask would cut long texts off")
        stored = service_pb2.GetContextsByIDResponse()
        ids = [context.id for context in written.contexts if context.id]
        super()._call_method("GetContextsByID", service_pb2.GetContextsByIDRequest(context_ids=ids), stored)
        named = set(written.update_mask.paths)
        parts = {
            name
            for context in (*written.contexts, *stored.contexts)
            for name in context.custom_properties
            if name.startswith(_PART_PREFIX) and ".".join(_read_part_name(name)) in named
        }
        written.update_mask.paths.extend(f"custom_properties.{name}" for name in sorted(parts))


def encode_texts(node: Any) -> None:
    """Rewrites the texts of an artifact, execution or context so that MLMD can write them."""
    for kind in _KINDS:
        properties = getattr(node, kind)
        for key, text in [(key, value.string_value) for key, value in properties.items()]:
            first, *others = _cut(text.replace(_ESCAPE, _ESCAPE + "0").replace("\\", _ESCAPE + "1"))
            if first != text:
                properties[key].string_value = first
            for number, part in enumerate(others):
                node.custom_properties[f"{_PART_PREFIX}{kind}/{number:06d}/{key}"].string_value = part


def decode_texts(node: Any) -> None:
    """Undoes ``encode_texts``."""
    for name in sorted(key for key in node.custom_properties if key.startswith(_PART_PREFIX)):
        kind, key = _read_part_name(name)
        getattr(node, kind)[key].string_value += node.custom_properties[name].string_value
        del node.custom_properties[name]
    for kind in _KINDS:
        for value in getattr(node, kind).values():
            if _ESCAPE in value.string_value:
                text = value.string_value.replace(_ESCAPE + "1", "\\")
                value.string_value = text.replace(_ESCAPE + "0", _ESCAPE)


def _read_part_name(name: str) -> tuple[str, str]:
    """Returns where a part of a text belongs: properties or custom_properties, and the key."""
    kind, _, key = name.removeprefix(_PART_PREFIX).split("/", 2)
    return kind, key


def _sort_nodes(request: Any, response: Any) -> None:
    """Puts a response's nodes in the order of their ids, unless another one was asked for."""
    options = getattr(request, "options", None)
    if isinstance(options, pb.ListOperationOptions) and options.HasField("order_by_field"):
        return
    for field, value in response.ListFields():
        if field.name in ("artifacts", "executions", "contexts") and not hasattr(value, "ListFields"):
            value.sort(key=lambda node: node.id)


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


def _cut(text: str) -> list[str]:
    """Returns parts of at most ``PART_BYTES`` bytes of UTF-8 each, cut between characters."""
    if len(text) * 4 <= PART_BYTES:  # Four bytes a character at most.
        return [text]
    encoded, parts, start = text.encode(), [], 0
    while start < len(encoded):
        end = min(start + PART_BYTES, len(encoded))
        while end < len(encoded) and encoded[end] & 0xC0 == 0x80:
            end -= 1
        parts.append(encoded[start:end].decode())
        start = end
    return parts
