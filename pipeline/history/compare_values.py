"""Differences between configurations and other trees of JSON values, by key path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.history.comparison_documents import ValueDifference
from pipeline.history.run_documents import ConfigurationChange


def flatten(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the leaves of a tree by their path, as ``--set`` takes it (``data.classes.0.name``).

    Lists of plain values are leaves; so are empty lists and mappings.
    """
    return dict(_leaves("", tree))


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        items: Any = value.items()
    elif isinstance(value, list) and any(isinstance(entry, list | dict) for entry in value):
        items = enumerate(value)
    else:
        if path:
            yield path, value
        return
    for key, child in items:
        yield from _leaves(f"{path}.{key}" if path else str(key), child)


def list_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[ConfigurationChange, ...]:
    """Returns the keys whose values differ, sorted."""
    old, new = flatten(before), flatten(after)
    changes = []
    for key in sorted(old.keys() | new.keys()):
        if key not in old:
            changes.append(ConfigurationChange(key=key, kind="added", after=new[key]))
        elif key not in new:
            changes.append(ConfigurationChange(key=key, kind="removed", before=old[key]))
        elif not same(old[key], new[key]):
            changes.append(ConfigurationChange(key=key, kind="changed", before=old[key], after=new[key]))
    return tuple(changes)


def list_differences(trees: Mapping[str, Mapping[str, Any]]) -> tuple[ValueDifference, ...]:
    """Returns the keys that do not have the same value in all trees, sorted.

    Args:
        trees: a tree a run, by the run's id.
    """
    flat = {run_id: flatten(tree) for run_id, tree in trees.items()}
    keys = sorted({key for leaves in flat.values() for key in leaves})
    differences = []
    for key in keys:
        values = {run_id: leaves[key] for run_id, leaves in flat.items() if key in leaves}
        first = next(iter(values.values()))
        if len(values) < len(flat) or not all(same(first, value) for value in values.values()):
            differences.append(ValueDifference(key=key, values=values))
    return tuple(differences)


def same(first: Any, second: Any) -> bool:
    """Says whether two JSON values are equal; true is not 1 here, though 1 is 1.0."""
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    return bool(first == second)
