"""Changes to what a document says, as people make them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st


def change_tree(
    draw: st.DrawFn, tree: Any, keys: st.SearchStrategy[Any], values: st.SearchStrategy[Any]
) -> None:
    """Replaces, deletes or adds up to three values anywhere in a tree of dictionaries and lists.

    Args:
        draw: of the strategy that makes the document.
        tree: is changed.
        keys: of what is added to a dictionary.
        values: what stands in the place of others.
    """
    for _ in range(draw(st.integers(0, 3))):
        *parents, last = draw(st.sampled_from(list_paths(tree)))
        node = tree
        for part in parents:
            node = node[part]
        kind = draw(st.sampled_from(["replace", "delete", "add"]))
        if kind == "delete":
            del node[last]
        elif kind == "add" and isinstance(node, dict):
            node[draw(keys)] = draw(values)
        else:
            node[last] = draw(values)
        if not list_paths(tree):
            break


def list_paths(tree: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Returns the path of every value, as keys and indexes."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path for key, child in items for path in ((*before, key), *list_paths(child, (*before, key)))]
