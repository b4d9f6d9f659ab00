"""Texts in parts and without backslashes, and whole again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb

from pipeline.postgresql_store import PART_BYTES, PostgreSQLStore, decode_texts, encode_texts

_TEXTS = st.text(st.sampled_from("\\\ue00001aé€𝄞'\n"), max_size=5) | st.text(max_size=5)


@given(
    st.dictionaries(st.text(max_size=9), st.tuples(_TEXTS, st.integers(0, 9000)), max_size=3),
    st.dictionaries(st.text(max_size=9), st.integers(0, 9000), max_size=3),
)
def test_texts_come_back_and_no_part_is_long(custom, declared):
    node = pb.Execution(id=7)
    for key, (text, times) in custom.items():
        node.custom_properties[key].string_value = text * times
    for key, length in declared.items():
        node.properties[key].string_value = "aé€𝄞"[length % 4] * length
    node.custom_properties["number"].int_value = 3
    before = pb.Execution.FromString(node.SerializeToString())
    encode_texts(node)
    for properties in (node.properties, node.custom_properties):
        assert all(len(value.string_value.encode()) <= PART_BYTES for value in properties.values())
        assert not any("\\" in value.string_value for value in properties.values())
    decode_texts(node)
    assert node == before


@pytest.fixture
def stores(tmp_path):
    """A store in parts, and the bare client on the same file."""
    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = str(tmp_path / "metadata.sqlite")
    config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    store = PostgreSQLStore(config)
    return store, MetadataStore(config)


def test_what_is_written_in_parts_is_read_as_a_whole(stores):
    store, bare = stores
    kind = pb.ContextType(name="kind")
    kind.properties["text"] = pb.STRING
    context = pb.Context(type_id=store.put_context_type(kind), name="one")
    context.properties["text"].string_value = "x" * 5000
    store.put_contexts([context])
    assert context.properties["text"].string_value == "x" * 5000
    (found,) = store.get_contexts()
    assert found.properties["text"].string_value == "x" * 5000
    assert dict(found.custom_properties) == {}
    (kept,) = bare.get_contexts()
    assert len(kept.properties["text"].string_value) == PART_BYTES
    assert len(kept.custom_properties) == 2  # 5,000 bytes are three parts.
    found.properties["text"].string_value = "short"
    store.put_contexts([found])
    (found,) = store.get_contexts_by_type("kind")
    assert found.properties["text"].string_value == "short"
    assert dict(found.custom_properties) == {}
    assert bare.get_contexts()[0].properties["text"].string_value == "short"


def test_a_mask_covers_all_parts_of_a_text_and_nothing_else(stores):
    store, bare = stores
    kind = store.put_context_type(pb.ContextType(name="kind"))
    (number,) = store.put_contexts([pb.Context(type_id=kind, name="one")])
    (stale,) = store.get_contexts()

    def put(key, text):
        context = pb.Context()
        context.CopyFrom(stale)
        context.custom_properties[key].string_value = text
        store.put_contexts([context], [f"custom_properties.{key}"])

    put("long", "x" * 7000)
    put("other", "y" * 3000)  # By one who read before there was any.
    (found,) = store.get_contexts_by_id([number])
    assert {key: len(value.string_value) for key, value in found.custom_properties.items()} == {
        "long": 7000,
        "other": 3000,
    }
    put("long", "z" * 2500)  # Fewer parts than before.
    put("long.er", "w" * 2500)
    (found,) = store.get_contexts_by_id([number])
    texts = {key: value.string_value for key, value in found.custom_properties.items()}
    assert texts == {"long": "z" * 2500, "other": "y" * 3000, "long.er": "w" * 2500}
    assert len(bare.get_contexts()[0].custom_properties) == 6


def test_no_mask_cuts_a_text_off_elsewhere(stores):
    store, _ = stores
    kind = store.put_execution_type(pb.ExecutionType(name="kind"))
    (number,) = store.put_executions([pb.Execution(type_id=kind)])
    execution = pb.Execution(id=number, type_id=kind)
    execution.custom_properties["long"].string_value = "x" * 5000
    with pytest.raises(NotImplementedError, match="PutExecutions"):
        store.put_executions([execution], ["custom_properties.long"])
