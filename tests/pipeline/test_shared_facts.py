"""Facts that runs share, in a real store."""

from __future__ import annotations

import pytest
from ml_metadata import MetadataStore, errors
from ml_metadata.proto import metadata_store_pb2 as pb

from pipeline.shared_facts import CODE_CONTEXT_TYPE, put_facts, read_facts


@pytest.fixture
def store(tmp_path) -> MetadataStore:
    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = str(tmp_path / "metadata.sqlite")
    config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    return MetadataStore(config)


def test_equal_facts_are_stored_once_whatever_their_order(store):
    first = put_facts(store, CODE_CONTEXT_TYPE, {"a.py": "1", "b.py": "2"})
    assert put_facts(store, CODE_CONTEXT_TYPE, {"b.py": "2", "a.py": "1"}) == first
    assert put_facts(store, CODE_CONTEXT_TYPE, {"a.py": "1", "b.py": "3"}) != first
    assert len(store.get_contexts_by_type(CODE_CONTEXT_TYPE)) == 2
    assert read_facts(store, CODE_CONTEXT_TYPE, [first]) == {first: {"a.py": "1", "b.py": "2"}}


def test_names_that_nobody_stored_are_left_out(store):
    assert read_facts(store, CODE_CONTEXT_TYPE, ["0" * 64, ""]) == {}


def test_two_runs_that_store_the_same_at_once_are_both_content(store, monkeypatch):
    facts = {"a.py": "1"}
    name = put_facts(store, CODE_CONTEXT_TYPE, facts)
    # What the slower of two processes sees: the facts are not there yet when it looks.
    monkeypatch.setattr(store, "get_context_by_type_and_name", lambda *_: None)
    with pytest.raises(errors.AlreadyExistsError):
        store.put_contexts([pb.Context(type_id=store.get_context_type(CODE_CONTEXT_TYPE).id, name=name)])
    assert put_facts(store, CODE_CONTEXT_TYPE, facts) == name
