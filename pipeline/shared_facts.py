"""Facts that many runs share, such as the list of our source files, stored once and named by their content.

They are contexts of their own types; a run's context holds the name only, so that a thousand runs are
listed without a thousand copies.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from ml_metadata import MetadataStore, errors
from ml_metadata.proto import metadata_store_pb2 as pb

CODE_CONTEXT_TYPE = "deconvflow_code"
"""SHA-256 of every source file, by relative path."""
ENVIRONMENT_CONTEXT_TYPE = "deconvflow_environment"
"""What ``describe_environment`` returns."""

_FACTS_PROPERTY = "facts"


def put_facts(store: MetadataStore, type_name: str, facts: Mapping[str, Any]) -> str:
    """Stores facts unless they are there already; returns their name, the SHA-256 of their JSON."""
    text = json.dumps(facts, sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()
    type_id = store.put_context_type(pb.ContextType(name=type_name))
    if store.get_context_by_type_and_name(type_name, name) is None:
        context = pb.Context(type_id=type_id, name=name)
        context.custom_properties[_FACTS_PROPERTY].string_value = text
        with contextlib.suppress(errors.AlreadyExistsError):  # Another run was a moment quicker.
            store.put_contexts([context])
    return name


def read_facts(store: MetadataStore, type_name: str, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Returns facts by name; names that are not in the store are left out."""
    found = {}
    for name in {name for name in names if name}:
        context = store.get_context_by_type_and_name(type_name, name)
        if context is not None:
            found[name] = dict(json.loads(context.custom_properties[_FACTS_PROPERTY].string_value))
    return found
